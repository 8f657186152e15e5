"""Step 6: all backbones by cross-validation, where the user asked for it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tellapart.metrics.comparisons import Correct, compare_pairs
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import FoldRecord, FoldsRecord, Record
from tellapart.report.wording import say_comparison
from tellapart.study.candidates import Work
from tellapart.study.heads import Extracted
from tellapart.transfer.folds import check_counts, cross_validate, cut_folds
from tellapart.transfer.head import Examples


class Crossed(Record):
    """What came of one backbone: which images it got right, and the accuracy of each fold."""

    right: tuple[bool, ...]
    parts: tuple[float, ...]
    seconds: float


def cross_backbones(work: Work, done: Sequence[Extracted]) -> FoldsRecord | None:
    """Cross-validate a logistic head on each backbone's features, and compare every two; or None.

    All images outside test take part, whatever the protocol, so that the intervals are narrower
    than those of val. What an earlier start came to is read.
    """
    bench = work.bench
    count = bench.settings.transfer.folds
    if count is None:
        return None
    rows = np.sort(np.concatenate([bench.split.train, bench.split.val]))
    folds = cut_folds(bench.dataset, rows, count, bench.settings.seed)
    records: list[FoldRecord] = []
    correct: dict[str, Correct] = {}
    for one in done:

        def validate(one: Extracted = one) -> Crossed:
            start = time.perf_counter()

            def show(accuracy: float) -> None:
                bench.reporter.advance(1, f"{one.label}, a fold: {100 * accuracy:.1f} %")

            examples = Examples(one.plain.vectors, bench.dataset.labels)
            right, parts = cross_validate(examples, folds, show)
            return Crossed(
                right=tuple(right.tolist()), parts=tuple(parts), seconds=time.perf_counter() - start
            )

        name = f"folds-{one.backbone.key}-{one.plain.engine.replace(' ', '-')}"
        found = bench.settle("transfer", name, Crossed, validate)
        right = np.array(found.right)
        label = f"{one.backbone.name} at {one.backbone.image_size} px"
        correct[label] = right
        records.append(
            FoldRecord(
                name=one.backbone.name,
                image_size=one.backbone.image_size,
                accuracy=estimate_proportion(int(right.sum()), len(right)),
                parts=found.parts,
                seconds=found.seconds,
            )
        )
    comparisons = compare_pairs(correct, {label: label for label in correct}, say_comparison)
    return FoldsRecord(
        count=count, images=len(rows), backbones=tuple(records), comparisons=comparisons
    )


def count_folds(work: Work, backbones: int) -> int:
    """Return the fits of a cross-validation."""
    return (work.bench.settings.transfer.folds or 0) * backbones


def check_folds(work: Work) -> None:
    """Find out now whether there are images enough.

    Raises:
        DataError: a class has fewer images than there are folds.
    """
    bench, count = work.bench, work.bench.settings.transfer.folds
    if count is not None:
        rows = np.sort(np.concatenate([bench.split.train, bench.split.val]))
        check_counts(bench.dataset, rows, count)
