"""The head: a small network on the features of a frozen backbone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from tellapart.config import HeadSettings, Positive, Settings, TrainSettings
from tellapart.data.dataset import Indices, Labels
from tellapart.data.loader import shuffle_order
from tellapart.device import (
    Meter,
    Precision,
    choose_precision,
    count_threads,
    prepare_process,
    release_memory,
)
from tellapart.errors import DataError, NotFinite
from tellapart.metrics.scores import compute_loss, compute_score, estimate_score
from tellapart.models import count_parameters
from tellapart.models.forward import cast_forward
from tellapart.models.layers import Standardize, make_head
from tellapart.records import EpochRow, RunRecord
from tellapart.stop import check_stop
from tellapart.train.checkpoint import (
    ARGS,
    BEST,
    copy_state,
    load_strictly,
    read_weights,
    save_choice,
    save_weights,
    write_history,
)
from tellapart.train.loop import Rows
from tellapart.train.optim import schedule_rate
from tellapart.train.progress import Watch, ignore_epoch
from tellapart.transfer.store import Rows16, Vectors
from tellapart.workspace import expand_path, read_record

PART = 512
"""Rows that are predicted in one go: a hidden layer of 2,048 puts out 4 MB for them."""
HELD_BYTES = 400_000_000
"""What features that are held in main memory may take."""


@dataclass(frozen=True)
class Examples:
    """What a head learns from: (n, width) float16 of all images as they are, (n,) int64 labels.

    ``views`` are of the training images alone, in their order: (k, width) of each augmented one.
    ``groups`` (n,) are those of images, which intervals go by.
    """

    vectors: Vectors
    labels: Labels
    views: tuple[Vectors, ...] = ()
    groups: Labels | None = None

    def take(self, rows: Indices, places: Indices, epoch: int) -> Rows16:
        """Return what an epoch shows of the images at ``places`` of training rows, view by view."""
        view = epoch % (1 + len(self.views))
        return self.vectors[rows[places]] if view == 0 else self.views[view - 1][places]

    def hold(self) -> Examples:
        """Return them in main memory, where they take little: they are then taken faster."""
        tables = (self.vectors, *self.views)
        if sum(2 * math.prod(table.shape) for table in tables) > HELD_BYTES:
            return self
        vectors, *views = (table[np.arange(table.shape[0])] for table in tables)
        return Examples(vectors, self.labels, tuple(views), self.groups)


def fit_head(
    examples: Examples,
    rows: Rows,
    settings: HeadSettings,
    folder: str | Path,
    watch: Watch = ignore_epoch,
    metric: str = "accuracy",
) -> RunRecord:
    """Train a head on features and leave its best weights in ``folder``.

    The class count is that of the labels; the best epoch by ``metric`` is chosen on
    ``rows.watch``, and ``patience`` epochs without a better one end the training. Epochs show
    the plain view and the augmented ones in turn. It runs on the CPU, in seconds.

    Raises:
        NotFinite: the loss, or an output, was not finite.
        Interrupted: a stop was asked for; a head is fitted anew.
    """
    examples = examples.hold()
    vectors, labels = examples.vectors, examples.labels
    prepare_process(settings.seed)
    cpu = torch.device("cpu")
    precision = choose_precision(cpu)
    network = make_head(vectors.shape[1], int(labels.max()) + 1, settings)
    set_scale(network, vectors, rows.train)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.lr,
        eps=1e-7,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    recipe = TrainSettings(epochs=settings.epochs, lr=settings.lr, schedule=settings.schedule)
    steps = math.ceil(len(rows.train) / settings.batch_size)
    history: list[EpochRow] = []
    best: EpochRow | None = None
    with Meter() as meter:
        for epoch in range(settings.epochs):
            start = time.perf_counter()
            network.train()
            order = shuffle_order(len(rows.train), settings.seed, epoch)
            loss_sum, hits, rate = 0.0, 0, settings.lr
            for step in range(steps):
                rate = schedule_rate(recipe, epoch * steps + step, settings.epochs * steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                taken = order[step * settings.batch_size : (step + 1) * settings.batch_size]
                truth = torch.from_numpy(labels[rows.train[taken]])
                shown = torch.from_numpy(examples.take(rows.train, taken, epoch)).float()
                with cast_forward(cpu, precision):
                    logits = network(shown).float()
                loss = functional.cross_entropy(
                    logits, truth, label_smoothing=settings.label_smoothing
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
                optimizer.step()
                loss_sum += loss.item() * len(taken)
                hits += int((logits.argmax(1) == truth).sum())
                check_stop()
            try:
                scores = score_head(network, examples, rows.watch, metric)
            except NotFinite:
                loss_sum = math.nan
            if not math.isfinite(loss_sum):
                raise NotFinite(
                    f"the head's loss or outputs of epoch {epoch + 1} are not finite; use a "
                    f"learning rate below {settings.lr:g}"
                )
            row = EpochRow(
                epoch=epoch + 1,
                seconds=time.perf_counter() - start,
                lr=rate,
                loss=loss_sum / len(rows.train),
                accuracy=hits / len(rows.train),
                val_loss=scores[0],
                val_accuracy=scores[1],
                val_score=scores[2],
            )
            history.append(row)
            if best is None or row.val_score > best.val_score:
                best, best_state = row, copy_state(network)
            watch(row)
            if settings.patience and row.epoch - best.epoch >= settings.patience:
                break
    network.load_state_dict(best_state)
    fitted = Fitted(network, tuple(history), meter, metric, precision)
    record = record_head(expand_path(folder), settings, examples, rows, fitted)
    release_memory()
    return record


@dataclass(frozen=True)
class Fitted:
    """A head with its best weights, an epoch a row, and what it took."""

    network: nn.Module
    history: tuple[EpochRow, ...]
    meter: Meter
    metric: str
    precision: Precision = "float32"


def record_head(
    folder: Path, settings: HeadSettings, examples: Examples, rows: Rows, fitted: Fitted
) -> RunRecord:
    """Write weights and ``history.csv`` of a head, and return its record."""
    logits = predict_head(fitted.network, examples.vectors, rows.watch)
    groups = None if examples.groups is None else examples.groups[rows.watch]
    found = (examples.labels[rows.watch], logits.argmax(1), logits.shape[1], groups)
    write_history(folder / "history.csv", fitted.history, fitted.metric)
    return RunRecord(
        cell=folder.name,
        folder=f"{folder.parent.name}/{folder.name}",
        model=settings.kind,
        label=f"{settings.kind} head",
        description=f"a {settings.kind} head",
        settings=settings.model_dump(exclude={"seed"}),
        seed=settings.seed,
        parameters=count_parameters(fitted.network),
        best_epoch=max(fitted.history, key=lambda row: row.val_score).epoch,
        chosen_on=rows.chosen_on,
        seconds=fitted.meter.seconds,
        peak_memory_mb=fitted.meter.peak_memory_mb,
        device="cpu",
        threads=count_threads(),
        precision=fitted.precision,
        metric=fitted.metric,
        val_accuracy=estimate_score("accuracy", *found),
        val_score=estimate_score(fitted.metric, *found),
        history=fitted.history,
        weights=save_weights(folder / BEST, copy_state(fitted.network)),
        choice=save_choice(folder, found[1]),
    )


def set_scale(network: nn.Sequential, vectors: Vectors, rows: Indices) -> None:
    """Set mean and standard deviation from the training rows, a part at a time."""
    total, squares = np.zeros((2, vectors.shape[1]))
    for first in range(0, len(rows), PART):
        part = vectors[rows[first : first + PART]].astype(np.float64)
        total += part.sum(0)
        squares += (part**2).sum(0)
    mean = total / len(rows)
    with np.errstate(invalid="ignore"):  # what is not finite is told by the loss
        spread = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0))
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    standardize = network[0]
    assert isinstance(standardize, Standardize)
    standardize.mean.copy_(torch.from_numpy(mean))
    standardize.scale.copy_(torch.from_numpy(scale))


def predict_head(network: nn.Module, vectors: Vectors, rows: Indices) -> NDArray[np.float32]:
    """Return (len(rows), classes) float32 logits, in the order of ``rows``.

    Raises:
        NotFinite: some are infinite or not a number.
    """
    network.eval()
    found = []
    with torch.inference_mode():
        for first in range(0, len(rows), PART):
            part = torch.from_numpy(vectors[rows[first : first + PART]]).float()
            found.append(network(part).numpy())
    logits = np.concatenate(found)
    if not np.isfinite(logits).all():
        raise NotFinite("outputs of a head must be finite, but some are not; train it again")
    return logits


def score_head(
    network: nn.Module, examples: Examples, rows: Indices, metric: str
) -> tuple[float, float, float]:
    """Return mean cross-entropy in nats, accuracy, and the score by a metric, of some rows."""
    logits, truth = predict_head(network, examples.vectors, rows), examples.labels[rows]
    predicted = logits.argmax(1)
    score = compute_score(metric, truth, predicted, logits.shape[1])
    return compute_loss(logits, truth), float((predicted == truth).mean()), score


class HeadArgs(Settings):
    """``args.json`` of a head: its settings, the class names, and whose features it takes."""

    kind: Literal["head"] = "head"
    recipe: HeadSettings
    classes: tuple[str, ...]
    backbone: str
    backbone_key: str
    features: Positive
    image_size: Positive


def load_head(folder: Path, backbone_key: str, weights: str) -> nn.Module:
    """Return the head of a run folder; ``weights`` is the SHA-256 in the run's record.

    Raises:
        DataError: it was fitted on another backbone: the shapes may fit, the numbers would not.
        WorkspaceError: weights missing or altered, or no readable ``args.json``.
    """
    args = read_record(folder / ARGS, HeadArgs)
    if args.backbone_key != backbone_key:
        raise DataError(
            f"the head in {folder} belongs to backbone {args.backbone} "
            f"(key {args.backbone_key}), but got one with key {backbone_key}; use that one"
        )
    network = make_head(args.features, len(args.classes), args.recipe)
    load_strictly(network, read_weights(folder / BEST, weights), folder)
    return network
