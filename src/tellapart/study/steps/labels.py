"""Which labels look wrong, and how well can these images be told apart at best?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.audit.checks.check import Looked
from tellapart.audit.floors import GRID
from tellapart.audit.labels import find_labels, find_outliers
from tellapart.audit.neighbours import (
    NEIGHBOURS,
    bound_accuracy,
    find_neighbours,
    reduce_features,
)
from tellapart.data.copies import average_cells
from tellapart.data.dataset import Indices
from tellapart.metrics.intervals import estimate_share
from tellapart.models.backbone import Backbone, make_backbone, resize_backbone
from tellapart.records import Estimate, LabelsPlan, LabelsStep, TransferStep
from tellapart.report.wording import say_count
from tellapart.study.backbones import (
    Candidates,
    check_backbones,
    find_backbone,
    find_resources,
    list_sizes,
    name_backbones,
    watch_images,
)
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, choose_fitting
from tellapart.study.steps.step import Step
from tellapart.transfer.features import extract_features, find_cached, time_backbone
from tellapart.transfer.head import Examples
from tellapart.transfer.logistic import LEAST, cut_folds, predict_folds
from tellapart.workspace import read_record

FOLDS = 5
FITS = 2.0
"""What the heads of all folds take, and the rest, over one logistic head of the transfer."""


def plan_labels(context: Context, seconds: float) -> LabelsPlan:
    """Choose a backbone: the transfer's best, else the first at its lowest resolution."""
    name, backbone, fit = _choose_backbone(context)
    every = np.arange(len(context.dataset))
    resources = find_resources(context)
    if seconds == float("inf"):
        whole = True
    else:
        pace = time_backbone(context.dataset, backbone, every, resources)
        cached = len(find_cached(context.dataset, backbone, resources))
        options = [(True, pace * len(every))] + ([(False, 0.0)] if cached > len(every) / 4 else [])
        whole, _ = choose_fitting(options, lambda one: one[1] + FITS * fit, seconds)
    return LabelsPlan(
        backbone=name,
        image_size=backbone.image_size,
        key=backbone.key,
        every=whole,
        text=f"{FOLDS} folds on features of {backbone.name} at {backbone.image_size} px",
        cut=() if whole else ("images whose features the transfer did not compute",),
    )


def _choose_backbone(context: Context) -> tuple[str, Backbone, float]:
    """Return the name by which it can be had, and what a logistic head of it took in seconds."""
    done = context.done.get("transfer")
    if not isinstance(done, TransferStep):
        name = name_backbones(context)[0]
        backbone = make_backbone(name)
        return name, resize_backbone(backbone, list_sizes(context, backbone)[0]), 0.0
    best = max(done.backbones, key=lambda row: row.val_score.value)
    took = max((head.seconds for head in best.heads if head.kind == "logistic"), default=0.0)
    candidates = read_record(context.folder / "transfer" / "candidates.json", Candidates)
    found = [(one[0], find_backbone(context, *one)) for one in candidates.chosen]
    own = (best.name, best.image_size)
    name, backbone = next(one for one in found if own == (one[1].name, one[1].image_size))
    return name, backbone, took


def run_labels(context: Context, plan: LabelsPlan, deadline: Deadline) -> LabelsStep:
    """Classify each image by a head that has not seen it, and look at its neighbours."""
    dataset, split = context.dataset, context.seal.split
    backbone = find_backbone(context, plan.backbone, plan.image_size, plan.key)
    resources = find_resources(context)
    rows = np.arange(len(dataset)) if plan.every else find_cached(dataset, backbone, resources)
    rows, unchecked = _drop_small(context, rows)
    common: Any = {"backbone": backbone.name, "image_size": backbone.image_size, "folds": FOLDS}
    if not len(rows):
        return LabelsStep(
            **common,
            images=0,
            tested=0,
            score=estimate_share(np.zeros(0, bool)),
            unchecked=unchecked,
        )
    context.reporter.expect(len(rows) + FOLDS + 1)
    show = watch_images(context, backbone)
    found = extract_features(dataset, backbone, resources, show, rows=rows)
    vectors = found.vectors.place(rows, len(dataset))
    examples = Examples(vectors, dataset.labels)
    folds = cut_folds(dataset, rows, FOLDS, context.settings.seed)

    def tell() -> None:
        context.reporter.advance(1, "a fold predicted")

    probabilities = predict_folds(examples, folds, tell)
    looked = Looked(dataset, split, context.folder / "labels")
    distances, bound = _compare_neighbours(looked, rows, lambda places: vectors[rows[places]])
    context.reporter.advance(1, "compared the images with their neighbours")
    known = ~np.isin(rows, split.test)
    right = probabilities.argmax(1) == dataset.labels[rows]
    score = estimate_share(right[known], dataset.find_groups(rows[known]))
    if bound.high < score.value:
        unchecked += ("a bound on the accuracy, for heads already do better than neighbours allow",)
    findings = (
        find_labels(looked, rows, probabilities),
        find_outliers(looked, rows, distances),
    )
    return LabelsStep(
        **common,
        images=len(rows),
        tested=int((~known).sum()),
        score=score,
        bound=bound if bound.high >= score.value else None,
        findings=tuple(one for one in findings if one),
        unchecked=unchecked,
    )


def _compare_neighbours(
    looked: Looked, rows: Indices, read: Callable[[Indices], NDArray[np.float16]]
) -> tuple[NDArray[np.float64], Estimate]:
    """Return how far images are from their neighbours among features, and the bound on accuracy.

    The bound is the higher of two: from features, and from small pixels.
    """
    groups, labels = looked.dataset.groups[rows], looked.dataset.labels[rows]
    classes = len(np.unique(labels))
    count = min(NEIGHBOURS, len(np.unique(groups)) - 1)
    near, distances = find_neighbours(reduce_features(read, len(rows)), groups, count)

    def read_pixels(places: Indices) -> NDArray[np.float16]:
        cells = average_cells(looked.thumbs[rows[places]], GRID)
        return cells.reshape(len(places), -1).astype(np.float16)

    around, _ = find_neighbours(reduce_features(read_pixels, len(rows)), groups, 1)
    bounds = [
        bound_accuracy(labels[one[:, 0]] == labels, groups, classes) for one in (near, around)
    ]
    return distances.mean(1, dtype=np.float64), max(bounds, key=lambda one: one.value)


def _drop_small(context: Context, rows: Indices) -> tuple[Indices, tuple[str, ...]]:
    """Return the rows of classes of which each fold can learn, and what is said of the others."""
    dataset = context.dataset
    pairs = np.unique(np.stack([dataset.labels[rows], dataset.groups[rows]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(dataset.classes))
    small = np.flatnonzero(counts < max(FOLDS, LEAST))
    if len(small) > len(counts) - 2:
        small = np.arange(len(counts))
    kept = rows[~np.isin(dataset.labels[rows], small)]
    if len(kept) == len(rows):
        return rows, ()
    return kept, (f"labels of {say_count(len(small), 'class', 'classes')} with fewer than "
                  f"{FOLDS} pictures",)  # fmt: skip


def check_labels(context: Context) -> None:
    """Find out now what backbone cannot be had, where no transfer does."""
    named = context.settings.steps
    if named and "transfer" not in named:
        check_backbones(context)


STEP = Step(
    run=run_labels,
    plan=plan_labels,
    plan_kind=LabelsPlan,
    weight=4,
    optional=True,
    check=check_labels,
)
