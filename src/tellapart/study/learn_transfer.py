"""How much data a pretrained backbone needs, beside the network from scratch."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tellapart.data.subset import take_share
from tellapart.errors import BackboneError
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import (
    AnyStep,
    BackboneRecord,
    LearningPoint,
    StepName,
    TransferCurve,
    TransferStep,
)
from tellapart.report.wording import say_left, say_seconds
from tellapart.search.learn import say_crossing
from tellapart.study.bench import Bench
from tellapart.study.candidates import (
    choose_backbones,
    find_means,
    make_work,
    name_backbones,
)
from tellapart.train.checkpoint import ARGS
from tellapart.train.loop import Rows
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples, HeadArgs
from tellapart.transfer.logistic import fit_best
from tellapart.workspace import read_record

WHOLE = 2.0
"""What fits on all shares take, over one on all images, at most: shares are halves of halves."""


def learn_transfer(
    bench: Bench,
    done: dict[StepName, AnyStep],
    shares: Sequence[float],
    scratch: Sequence[LearningPoint],
    left: float,
) -> TransferCurve | None:
    """Return what a logistic head on frozen features makes of the shares of a learning curve.

    It is deterministic, so that there is one fit a share, and the interval is Wilson's. None where
    step 6 fitted none, or there is no time for it.

    Args:
        scratch: the points of the network from scratch.
        left: seconds.
    """
    step = done.get("transfer")
    if not isinstance(step, TransferStep):
        return None
    fitted = [
        (row, head.seconds)
        for row in step.backbones
        for head in row.heads
        if head.kind == "logistic" and not head.views
    ]
    if not fitted:
        return None
    chosen, seconds = max(fitted, key=lambda one: one[0].val_accuracy.value)
    needed = WHOLE * seconds
    if needed > left:
        bench.reporter.say(
            "how much data does a pretrained backbone need? That would take "
            f"{say_seconds(needed)}, and {say_left(left)}"
        )
        return None
    points = _fit_shares(bench, chosen, shares)
    both = [(p, s) for p in points for s in scratch if p.images == s.images]
    sentence = say_crossing(
        [point.images for point, _ in both],
        [other.accuracy.value for _, other in both],
        [point.accuracy.value for point, _ in both],
    )
    return TransferCurve(
        model=f"{chosen.name} + logistic head",
        points=points,
        sentence=sentence,
        seconds=sum(point.seconds for point in points),
    )


def _fit_shares(
    bench: Bench, chosen: BackboneRecord, shares: Sequence[float]
) -> tuple[LearningPoint, ...]:
    """Fit a head on each share, or read what an earlier start fitted."""
    backbones, _ = choose_backbones(make_work(bench), name_backbones(bench))
    key = read_record(bench.folder / chosen.run.folder / ARGS, HeadArgs).backbone_key
    backbone = next((one for _, one in backbones if one.key == key), None)
    if backbone is None:
        raise BackboneError(
            f"the head in {bench.folder / chosen.run.folder} is of a backbone with key {key}, "
            "which this study does not have; use another --out"
        )
    rows = bench.open_rows("learn")
    vectors = extract_features(bench.dataset, backbone, find_means(bench.settings)).vectors
    examples = Examples(vectors, bench.dataset.labels)
    points = []
    for share in shares:
        own = take_share(bench.dataset, rows.train, share, bench.settings.seed)

        def fit(train: np.ndarray[tuple[int], np.dtype[np.int64]] = own) -> tuple[float, float]:
            start = time.perf_counter()
            found = fit_best(examples, Rows(train, rows.watch))
            return found.accuracy, time.perf_counter() - start

        name = f"transfer-{backbone.key}-{len(own)}"
        accuracy, seconds = bench.settle("learn", name, tuple[float, float], fit)
        bench.reporter.say(f"{chosen.name}, {len(own):,} images: {100 * accuracy:.1f} % of val")
        points.append(
            LearningPoint(
                images=len(own),
                accuracy=estimate_proportion(round(accuracy * len(rows.watch)), len(rows.watch)),
                seeds=(accuracy,),
                seconds=seconds,
            )
        )
    return tuple(points)
