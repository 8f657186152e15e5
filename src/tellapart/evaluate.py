"""The test split: this file alone opens it, and the ledger keeps every look."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.config import hash_settings
from tellapart.data.dataset import Dataset, Indices, resize_dataset
from tellapart.data.split import Split
from tellapart.device import DeviceName, choose_device, prepare_process
from tellapart.errors import DataError, NotFinite
from tellapart.metrics import scores
from tellapart.metrics.intervals import count_effective
from tellapart.metrics.probabilities import measure_scores
from tellapart.models.forward import predict_logits
from tellapart.records import Estimate, LookRecord, RunRecord, TestRecord
from tellapart.train.checkpoint import load_model
from tellapart.train.loop import Rows
from tellapart.workspace import expand_path, read_record, write_json, write_text

Predict = Callable[[Indices], NDArray[np.float32]]  # (k, classes) logits of k rows of the dataset
LEDGER = "ledger.json"
PREDICTIONS = "predictions.csv"
CHOOSE = "choose the best epoch (protocol notebook)"


@dataclass(frozen=True)
class Look:
    """Who looks at the test split, and what for; ``beyond`` what a study itself looks for."""

    step: str
    cell: str
    purpose: str
    beyond: bool = False


class Seal:
    """The test rows of a split, behind a ledger that is written before they are handed out."""

    def __init__(self, dataset: Dataset, split: Split, folder: str | Path) -> None:
        self.dataset, self.split = dataset, split
        self._path = expand_path(folder) / LEDGER

    @cached_property
    def key(self) -> str:
        """A hash of which images are train, val and test."""
        sides = (self.split.train, self.split.val, self.split.test)
        return hash_settings(*([self.dataset.hashes[row] for row in rows] for rows in sides))

    @cached_property
    def learned(self) -> NDArray[np.int64]:
        """How many training images each class has, (classes,)."""
        labels = self.dataset.labels[self.split.train]
        return np.bincount(labels, minlength=len(self.dataset.classes))

    @cached_property
    def floor(self) -> dict[str, Estimate]:
        """What answering each image with how frequent classes are in train gives on test."""
        rows = self.split.test
        answers = np.tile(self.learned / self.learned.sum(), (len(rows), 1))
        return measure_scores(self.dataset.labels[rows], answers, self.dataset.find_groups(rows))

    @property
    def count(self) -> int:
        """How many test images there are."""
        return len(self.split.test)

    def read_ledger(self) -> tuple[LookRecord, ...]:
        """Return every look so far, oldest first."""
        return read_record(self._path, tuple[LookRecord, ...]) if self._path.is_file() else ()

    def open_test(self, look: Look) -> tuple[Indices, int]:
        """Return the test rows and the number of this look.

        The same look again (a step was killed after it looked) keeps its number: it shows nothing
        that was not shown. Each look beyond the study's own is a new one.
        """
        ledger = self.read_ledger()
        for entry in ledger if not look.beyond else ():
            if (entry.step, entry.cell, entry.purpose) == (look.step, look.cell, look.purpose):
                return self.split.test, entry.look
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = LookRecord(look=len(ledger) + 1, when=when, **asdict(look))
        write_json(self._path, [kept.model_dump() for kept in (*ledger, entry)])
        return self.split.test, entry.look

    def is_optimistic(self) -> bool:
        """Tell whether best epochs were chosen on test, so that its figures are optimistic."""
        return any(entry.purpose == CHOOSE for entry in self.read_ledger())

    def open_rows(self, protocol: str, step: str) -> Rows:
        """Return the rows to train on and to choose on; for ``notebook`` these are of test."""
        if protocol == "holdout":
            return Rows(self.split.train, self.split.val, "val")
        test, _ = self.open_test(Look(step, "all", CHOOSE))
        return Rows(self.split.merge_train_val(), test, "test")


def evaluate_model(
    seal: Seal, look: Look, predict: Predict, folder: str | Path, metric: str = "accuracy"
) -> TestRecord:
    """Look at the test split once with a finished model; ``predictions.csv`` goes to ``folder``."""
    rows, number = seal.open_test(look)
    dataset, truth = seal.dataset, seal.dataset.labels[rows]
    logits = predict_finite(predict, rows)
    predicted, groups = logits.argmax(1), dataset.find_groups(rows)
    confusion = scores.count_confusions(truth, predicted, len(dataset.classes))
    effective = None if groups is None else count_effective(predicted == truth, groups)
    part = 1.0 if effective is None else effective / len(rows)
    digest = write_predictions(expand_path(folder) / PREDICTIONS, dataset, rows, logits)
    twin = np.isin(dataset.groups[rows], dataset.groups[seal.split.train])
    without = None
    if twin.any() and not twin.all():
        own = None if groups is None else groups[~twin]
        sides = (truth[~twin], predicted[~twin])
        without = scores.estimate_score(metric, *sides, len(dataset.classes), own)
    return TestRecord(
        metric=metric,
        scores=measure_scores(truth, scores.compute_probabilities(logits), groups),
        floor=seal.floor,
        commonest=dataset.classes[int(np.argmax(seal.learned))],
        effective=effective,
        twins=int(twin.sum()),
        without_twins=without,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        per_class=scores.score_classes(confusion, dataset.classes, part),
        hardest=scores.find_hardest(confusion, dataset.classes, part),
        look=number,
        predictions=digest,
        optimistic=seal.is_optimistic(),
    )


def score_rows(
    dataset: Dataset, rows: Indices, predict: Predict, metric: str = "accuracy"
) -> tuple[Estimate, float]:
    """Return the score and the cross-entropy (nats) of rows that were handed out."""
    logits, truth = predict_finite(predict, rows), dataset.labels[rows]
    predicted, classes, groups = logits.argmax(1), len(dataset.classes), dataset.find_groups(rows)
    score = scores.estimate_score(metric, truth, predicted, classes, groups)
    return score, scores.compute_loss(logits, truth)


def predict_finite(predict: Predict, rows: Indices) -> NDArray[np.float32]:
    """Return the logits of rows, or raise NotFinite: no accuracy comes of a NaN."""
    logits = predict(rows)
    if not np.isfinite(logits).all():
        raise NotFinite("an output of the model is not finite, so it has no accuracy; train again")
    return logits


def predict_run(dataset: Dataset, folder: Path, device: DeviceName, run: RunRecord) -> Predict:
    """Return the ``predict`` of a trained network in its run folder, in float32.

    That is how it will predict anywhere, whatever it was trained in.

    Raises:
        DataError: the network was trained on other classes, or its weights are not finite.
        WorkspaceError: a file of it is missing, or was altered.
    """
    network, args = load_model(folder, run.weights)
    if args.classes != dataset.classes:
        raise DataError(
            f"the model in {folder} knows the classes {', '.join(args.classes)}, but the data "
            f"have {', '.join(dataset.classes)}; give the data that it was trained on"
        )
    prepare_process()
    dataset = resize_dataset(dataset, args.preprocessing.image_size)
    network.to(choose_device(device))
    mirrored = args.recipe.mirrors
    return lambda rows: predict_logits(network, dataset, rows, "float32", mirrored)


def write_predictions(
    path: Path, dataset: Dataset, rows: Indices, logits: NDArray[np.float32]
) -> str:
    """Write a line an image, with all probabilities; return the file's SHA-256, hexadecimal.

    A spreadsheet is to read the columns of names as text: a name may begin as a formula does.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    grouped = bool(dataset.names or dataset.copies)
    head = ("file", "row", "hash", *(("group",) if grouped else ()))
    probabilities = (f"p({name})" for name in dataset.classes)
    writer.writerow((*head, "true", "predicted", "correct", "probability", *probabilities))
    for row, share in zip(rows.tolist(), scores.compute_probabilities(logits), strict=True):
        guess, true = int(share.argmax()), int(dataset.labels[row])
        file = dataset.files[row] if dataset.files else ""
        named = (dataset.classes[true], dataset.classes[guess])
        said = [f"{part:.4g}" for part in share.tolist()]
        place = (file, row, dataset.hashes[row], *((dataset.keys[row],) if grouped else ()))
        writer.writerow((*place, *named, int(guess == true), said[guess], *said))
    write_text(path, text.getvalue())
    return hashlib.sha256(text.getvalue().encode()).hexdigest()


def read_correct(
    paths: dict[str, Path],
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.int64] | None]:
    """Return from files of predictions which images were right, each (n,) in one common order.

    And the groups of images, (n,), if any belong together.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    keys: list[str] = []
    hashes: dict[Path, list[str]] = {}
    for name, path in paths.items():
        try:
            with open(path, newline="", encoding="utf-8") as stream:
                lines = list(csv.DictReader(stream))
            if not lines:
                raise ValueError("no lines")
            hashes[path] = [line["hash"] for line in lines]
            keys = [line.get("group") or line["hash"] for line in lines]
            found[name] = np.array([bool(int(line["correct"])) for line in lines])
        except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is not a file of predictions ({error!r}); remove its step's folder and "
                "start the same command again"
            ) from error
        first = next(iter(hashes))
        if hashes[path] != hashes[first]:
            raise DataError(
                f"models are compared on the same images, but {path} holds other ones than "
                f"{first}; evaluate both on one split"
            )
    groups = np.unique(keys, return_inverse=True)[1]
    return found, groups if len(set(groups.tolist())) < len(groups) else None
