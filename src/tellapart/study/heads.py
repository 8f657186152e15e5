"""Heads on a backbone's features, and the fine-tuning of both, as cells; folds beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.cells.cell import Cell, CellContext
from tellapart.cells.reporter import TrainingWatch
from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset, Indices, resize_dataset
from tellapart.device import DeviceName, choose_device, choose_precision
from tellapart.evaluate import Predict
from tellapart.metrics.comparisons import Correct, compare_pairs
from tellapart.metrics.intervals import estimate_share
from tellapart.models.backbone import Backbone
from tellapart.predict.engines import choose_engine
from tellapart.predict.network import PixelClassifier
from tellapart.records import FoldRecord, FoldsRecord, HeadSweepRecord, Record, RunRecord
from tellapart.report.wording import say_comparison
from tellapart.search.sweep import Point, Seeds, check_sizes, run_sweep
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline
from tellapart.study.rules import plan_heads, plan_seeds
from tellapart.train.checkpoint import ARGS
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.train.progress import Watch
from tellapart.transfer.features import Features
from tellapart.transfer.head import Examples, HeadArgs, fit_head
from tellapart.transfer.logistic import (
    check_counts,
    cross_validate,
    cut_folds,
    fit_logistic,
)
from tellapart.transfer.tune import join_head
from tellapart.transfer.views import View
from tellapart.workspace import write_json

BATCH = 32
LEAST_SHARE = 1e-30
"""A probability below it counts as this: its logarithm is finite."""


@dataclass(frozen=True)
class Extracted:
    """A backbone with the features of images, and of the training images in each view.

    ``rows`` are what heads learn from and are chosen on.
    """

    backbone: Backbone
    rows: Rows
    plain: Features
    views: tuple[tuple[View, Features], ...] = ()

    @property
    def label(self) -> str:
        """The backbone's name as a part of a file's."""
        return self.backbone.name.replace("/", "_").replace(":", "_")


def predict_joined(
    dataset: Dataset, backbone: Backbone, folder: Path, weights: str, device: DeviceName
) -> Predict:
    """Return the ``predict`` of a head on its backbone, from pixels on and in float32.

    So it will predict anywhere; its features may have been computed in bfloat16. ``folder`` is that
    of the head's run.
    """
    _, network = join_head(backbone, folder, weights)
    seen = resize_dataset(dataset, backbone.image_size)
    joined = PixelClassifier(network, 1.0, False)

    def predict(rows: Indices) -> NDArray[np.float32]:
        pixels = len(rows) * backbone.image_size**2
        engine = choose_engine(joined, seen.source.read(rows[:1]), pixels, device)
        batches = (seen.source.read(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH))
        shares, _ = engine.compute(batches)
        return np.log(np.maximum(shares, LEAST_SHARE))

    return predict


@dataclass(frozen=True)
class HeadCell(Cell):
    """A head fitted on a backbone's features, and on so many further views of each image."""

    extracted: Extracted
    head: HeadSettings
    views: int = 0
    suffix: str = ""
    place: str = "transfer"

    @property
    def label(self) -> str:  # type: ignore[override]  # made of its parts
        views = f"-views-{self.views}" if self.views else ""
        return f"{self.extracted.label}-{self.head.kind}{views}{self.suffix}"

    @property
    def units(self) -> int:
        return self.head.epochs

    def list_parts(self, context: CellContext) -> list[object]:
        own, device = self.extracted, choose_device(context.device)
        views = own.views[: self.views]
        engines = "+".join((own.plain.engine, *(found.engine for _, found in views)))
        seen = (len(own.rows.train), *(view.name for view, _ in views))
        precision = choose_precision(device)
        return [self.head, own.backbone.key, engines, device.type, precision, *seen]

    def train(
        self, context: CellContext, folder: Path, show: TrainingWatch, follow: Watch
    ) -> RunRecord:
        own, metric = self.extracted, context.metric
        tables = tuple(found.vectors for _, found in own.views[: self.views])
        examples = Examples(
            own.plain.vectors, context.dataset.labels, tables, context.dataset.groups
        )
        if self.head.kind == "logistic":

            def say(penalty: float, score: float) -> None:
                said = f"{self.label}: penalty {penalty:g}, {100 * score:.1f} %"
                context.reporter.advance(0, said)

            run = fit_logistic(examples, own.rows, self.head, folder, say, metric)
            score = 100 * run.val_score.value
            context.reporter.advance(self.head.epochs, f"{self.label}: {score:.1f} %")
        else:
            run = fit_head(examples, own.rows, self.head, folder, follow, metric)
        args = HeadArgs(
            recipe=HeadSettings.model_validate(run.settings | {"seed": run.seed}),
            classes=context.dataset.classes,
            backbone=own.backbone.name,
            backbone_key=own.backbone.key,
            features=own.backbone.features,
            image_size=own.backbone.image_size,
        )
        write_json(folder / ARGS, args)
        return run


@dataclass(frozen=True)
class TuneCell(Cell):
    """A backbone and its head that go on learning together."""

    label: str
    task: Task
    dataset: Dataset
    rows: Rows
    place: str = "transfer"

    @property
    def units(self) -> int:
        return self.task.recipe.epochs

    def list_parts(self, context: CellContext) -> list[object]:
        task = self.task
        device = choose_device(context.device).type
        return [task.model, task.recipe, task.key, device, len(self.rows.train)]

    def train(
        self, context: CellContext, folder: Path, show: TrainingWatch, follow: Watch
    ) -> RunRecord:
        return fit_network(self.dataset, self.rows, self.task, folder, follow, show.show_part)


def sweep_heads(
    context: Context, extracted: Extracted, views: int, deadline: Deadline
) -> HeadSweepRecord | None:
    """Fit dense heads of the sizes that were asked for, several seeds each; None of none."""
    asked = context.settings.transfer.head_sizes
    if not asked:
        return None
    head = plan_heads(context.settings)[-1]
    first, most = plan_seeds(context.settings, context.images)

    def make_cell(point: Point) -> HeadCell:
        size, seed = point[0], context.settings.seed + point[1]
        own = head.model_copy(update={"kind": "dense", "dense": size, "seed": seed})
        return HeadCell(extracted, own, views, f"-{size}-seed-{seed}")

    sweep = run_sweep(
        check_sizes(asked),
        Seeds(first, most, deadline.left),
        lambda points: context.run([make_cell(p) for p in points], 1, deadline.is_over),
        partial(context.rank, "transfer"),
    )
    return HeadSweepRecord(
        backbone=extracted.backbone.name, sizes=sweep.sizes, ranking=sweep.ranking
    )


class Crossed(Record):
    """What came of one backbone: which images it got right, and the accuracy of each fold."""

    right: tuple[bool, ...]
    parts: tuple[float, ...]
    seconds: float


def cross_backbones(context: Context, done: Sequence[Extracted]) -> FoldsRecord | None:
    """Cross-validate a logistic head on each backbone's features, and compare every two; or None.

    All images outside test take part, whatever the protocol, so that the intervals are narrower
    than those of val. What an earlier start came to is read.
    """
    count = context.settings.transfer.folds
    if count is None:
        return None
    split, own = context.seal.split, done[0].rows
    rows = np.intersect1d(split.merge_train_val(), np.concatenate([own.train, split.val]))
    check_counts(context.dataset, rows, count)
    folds = cut_folds(context.dataset, rows, count, context.settings.seed)
    records: list[FoldRecord] = []
    correct: dict[str, Correct] = {}
    for one in done:

        def validate(one: Extracted = one) -> Crossed:
            start = time.perf_counter()

            def show(accuracy: float) -> None:
                context.reporter.advance(1, f"{one.label}, a fold: {100 * accuracy:.1f} %")

            examples = Examples(one.plain.vectors, context.dataset.labels)
            right, parts = cross_validate(examples, folds, show)
            seconds = time.perf_counter() - start
            return Crossed(right=tuple(right.tolist()), parts=tuple(parts), seconds=seconds)

        name, size = one.backbone.name, one.backbone.image_size
        file = f"folds-{one.backbone.key}-{one.plain.engine.replace(' ', '-')}"
        found = context.decide("transfer", file, Crossed, validate)
        correct[f"{name} at {size} px"] = np.array(found.right)
        score = estimate_share(np.array(found.right), context.dataset.find_groups(rows))
        records.append(
            FoldRecord(
                name=name, image_size=size, score=score, parts=found.parts, seconds=found.seconds
            )
        )
    labels, groups = {label: label for label in correct}, context.dataset.find_groups(rows)
    comparisons = compare_pairs(correct, labels, say_comparison, groups=groups)
    return FoldsRecord(
        count=count, images=len(rows), backbones=tuple(records), comparisons=comparisons
    )
