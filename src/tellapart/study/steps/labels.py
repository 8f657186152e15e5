"""Which labels look wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.audit.checks.check import Looked
from tellapart.audit.floors import GRID
from tellapart.audit.labels import find_labels, find_outliers
from tellapart.audit.neighbours import (
    KNOWN,
    NEIGHBOURS,
    bound_accuracy,
    find_neighbours,
    reduce_features,
)
from tellapart.data.copies import average_cells
from tellapart.data.dataset import Indices
from tellapart.metrics.intervals import estimate_share
from tellapart.models.backbone import Backbone, make_backbone, resize_backbone
from tellapart.records import (
    Estimate,
    LabelsPlan,
    LabelsStep,
    RunRecord,
    TransferPlan,
    TransferStep,
)
from tellapart.study.backbones import (
    check_backbones,
    find_backbone,
    find_resources,
    list_extracted,
    list_sizes,
    name_backbones,
    watch_images,
)
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, choose_fitting
from tellapart.study.steps.step import Step
from tellapart.train.checkpoint import ARGS
from tellapart.transfer.features import extract_features, time_backbone
from tellapart.transfer.head import Examples, HeadArgs
from tellapart.transfer.logistic import PENALTIES, Fold, cut_folds, predict_folds
from tellapart.transfer.store import FeatureTable
from tellapart.workspace import read_record

FOLDS = 5
PAIR_SECONDS = 2e-8
"""What comparing two images takes, on a slow core."""


def plan_labels(context: Context, seconds: float) -> LabelsPlan:
    """Take the transfer's backbone and its features, else the first at its lowest resolution."""
    done = context.done.get("transfer")
    fit, shares = 0.0, [1.0]
    if isinstance(done, TransferStep):
        name, backbone, share = _find_best(context, done)
        logistic = [head.seconds for row in done.backbones for head in row.heads
                    if head.kind == "logistic"]  # fmt: skip
        fit = max(logistic, default=0.0)
        shares += [share] if share < 1 else []
    else:
        name = name_backbones(context)[0]
        backbone = make_backbone(name)
        backbone = resize_backbone(backbone, list_sizes(context, backbone)[0])

    def estimate(share: float) -> float:
        rows = list_extracted(context, share)
        pace = 0.0
        if seconds < float("inf"):
            pace = time_backbone(context.dataset, backbone, rows, find_resources(context))
        return pace * len(rows) + fit + PAIR_SECONDS * len(rows) * min(len(rows), KNOWN)

    share = choose_fitting(shares, estimate, seconds)
    return LabelsPlan(
        backbone=name,
        image_size=backbone.image_size,
        key=backbone.key,
        share=share,
        estimate=estimate(share) if seconds < float("inf") else None,
        text=f"{FOLDS} folds on features of {backbone.name} at {backbone.image_size} px",
        cut=() if share == 1 else ("training images that the transfer left out",),
    )


def _find_best(context: Context, done: TransferStep) -> tuple[str, Backbone, float]:
    """Return the backbone that the transfer chose, by its name, and its share of the images."""
    run = max(done.backbones, key=lambda row: row.val_score.value).run
    args = read_record(context.folder / run.folder / ARGS, HeadArgs)
    backbone = find_backbone(context, args.backbone, args.image_size, args.backbone_key)
    share: float = read_record(context.folder / "transfer" / "plan.json", TransferPlan).share
    return args.backbone, backbone, share


def list_penalties(context: Context, backbone: str) -> Sequence[float]:
    """Return the penalty that a logistic head of the transfer had, or all that are tried."""
    done = context.done.get("transfer")
    for row in done.backbones if isinstance(done, TransferStep) else ():
        for head in row.heads:
            if row.name == backbone and head.kind == "logistic" and not head.views:
                run = read_record(context.folder / head.run / "record.json", RunRecord)
                return (float(str(run.settings["weight_decay"])),)
    return PENALTIES


def run_labels(context: Context, plan: LabelsPlan, deadline: Deadline) -> LabelsStep:
    """Classify each image by a head that has not seen it, and look at its neighbours."""
    dataset, split = context.dataset, context.seal.split
    backbone = find_backbone(context, plan.backbone, plan.image_size, plan.key)
    rows, folds = cut_rows(context, list_extracted(context, plan.share))
    labels = dataset.labels[rows]
    lost = sorted(set(dataset.labels.tolist()) - set(labels.tolist()))
    unchecked = tuple(f"labels of {dataset.classes[one]}: too few pictures" for one in lost[:10])
    common: Any = {"backbone": backbone.name, "image_size": backbone.image_size, "folds": FOLDS}
    if not len(rows):
        nothing = estimate_share(np.zeros(0, bool))
        return LabelsStep(**common, images=0, tested=0, score=nothing, unchecked=unchecked)
    context.reporter.expect(len(rows) + FOLDS + 1)
    show = watch_images(context, backbone)
    found = extract_features(dataset, backbone, find_resources(context), show, rows=rows)
    vectors = found.vectors.place(rows, len(dataset))
    probabilities = predict_folds(
        Examples(vectors, dataset.labels),
        folds,
        list_penalties(context, backbone.name),
        lambda: context.reporter.advance(1, "a fold predicted"),
    )
    points = reduce_features(lambda places: vectors[rows[places]], len(rows))
    groups = dataset.groups[rows]
    count = min(NEIGHBOURS, len(np.unique(groups[:: -(-len(rows) // KNOWN)])) - 1)
    _, distances = find_neighbours(points, groups, count)
    outside = ~np.isin(rows, split.test)
    score = estimate_share(
        (probabilities.argmax(1) == labels)[outside], dataset.find_groups(rows[outside])
    )
    bound = find_bound(context, rows[outside], vectors)
    context.reporter.advance(1, "compared the images with their neighbours")
    done = context.done.get("transfer")
    reached = max(score.value, done.val_score.value if isinstance(done, TransferStep) else 0.0)
    if bound.high < reached:
        unchecked += ("a bound on accuracy: heads do better than nearest neighbours suggest",)
    looked = Looked(dataset, split, context.folder / "labels")
    findings = (
        find_labels(looked, rows, probabilities),
        find_outliers(looked, rows, distances.mean(1, dtype=np.float64)),
    )
    return LabelsStep(
        **common,
        images=len(rows),
        tested=int((~outside).sum()),
        score=score,
        bound=bound if bound.high >= reached else None,
        findings=tuple(one for one in findings if one),
        unchecked=unchecked,
    )


def cut_rows(context: Context, rows: Indices) -> tuple[Indices, tuple[Fold, ...]]:
    """Return the rows of classes that each fold can learn, and the folds of them.

    A class needs a picture or group for each fold, and one group that is not taken to choose on.
    """
    dataset = context.dataset
    while True:
        pairs = np.unique(np.stack([dataset.labels[rows], dataset.groups[rows]]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(dataset.classes))
        kept = np.flatnonzero(counts >= FOLDS)
        rows = rows[np.isin(dataset.labels[rows], kept)]
        if len(kept) < 2:
            return rows[:0], ()
        folds = cut_folds(dataset, rows, FOLDS, context.settings.seed)
        for fold in folds:
            kept = np.intersect1d(kept, dataset.labels[fold.rows.train])
        if len(kept) == len(np.unique(dataset.labels[rows])):
            return rows, folds
        rows = rows[np.isin(dataset.labels[rows], kept)]


def find_bound(context: Context, rows: Indices, vectors: FeatureTable) -> Estimate:
    """Return the bound on accuracy from the neighbours of ``rows``, among these alone.

    It is the higher of two, where pixels are held in memory: from features, and from 8 x 8 pixels.
    """
    dataset = context.dataset

    def read_pixels(places: Indices) -> NDArray[np.float16]:
        whole = dataset.image_size // GRID * GRID
        cells = average_cells(dataset.source.read(rows[places])[:, :whole, :whole], GRID)
        return cells.reshape(len(places), -1).astype(np.float16)

    spaces = [lambda places: vectors[rows[places]]]
    if not dataset.source.streamed and dataset.image_size >= GRID:
        spaces.append(read_pixels)
    labels, groups = dataset.labels[rows], dataset.groups[rows]
    bounds = []
    for read in spaces:
        near, _ = find_neighbours(reduce_features(read, len(rows)), groups, 1)
        agree = labels[near[:, 0]] == labels
        bounds.append(bound_accuracy(agree, groups, len(np.unique(labels))))
    return max(bounds, key=lambda one: one.value)


def check_labels(context: Context) -> None:
    """Find out now what backbone cannot be had, where no transfer does."""
    named = context.settings.steps
    if named and "transfer" not in named:
        check_backbones(context)


STEP = Step(
    run=run_labels,
    plan=plan_labels,
    plan_kind=LabelsPlan,
    weight=6,
    optional=True,
    check=check_labels,
)
