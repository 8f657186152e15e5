"""How much data a pretrained backbone needs, beside the network from scratch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tellapart.data.dataset import Indices
from tellapart.data.subset import take_share
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import LearningPoint, TransferCurve, TransferPlan, TransferStep
from tellapart.report.wording import say_seconds
from tellapart.search.learn import say_crossing
from tellapart.study.backbones import choose_backbones, find_resources
from tellapart.study.context import Context
from tellapart.train.checkpoint import ARGS
from tellapart.train.loop import Rows
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples, HeadArgs
from tellapart.transfer.logistic import fit_best
from tellapart.workspace import read_record

WHOLE = 2.0
"""What fits on all shares take, over one on all images, at most: shares are halves of halves."""


def learn_transfer(
    context: Context, shares: Sequence[float], scratch: Sequence[LearningPoint], left: float
) -> TransferCurve | None:
    """Return what a logistic head on frozen features makes of the shares of a learning curve.

    It is deterministic, so that there is one fit a share, and the interval is Wilson's. None where
    the transfer fitted none on all images, or there is no time for it.

    Args:
        scratch: the points of the network from scratch.
        left: seconds.
    """
    step, path = context.done.get("transfer"), context.folder / "transfer" / "plan.json"
    if not isinstance(step, TransferStep) or context.metric != "accuracy":
        return None
    plan = read_record(path, TransferPlan)
    fitted = [
        (row, head.seconds)
        for row in step.backbones
        for head in row.heads
        if head.kind == "logistic" and not head.views and plan.share == 1.0
    ]
    if not fitted:
        return None
    chosen, seconds = max(fitted, key=lambda one: one[0].val_score.value)
    if WHOLE * seconds > left:
        context.reporter.say(
            "how much data does a pretrained backbone need? That would take "
            f"{say_seconds(WHOLE * seconds)}, and {say_seconds(left)} are left"
        )
        return None
    key = read_record(context.folder / chosen.run.folder / ARGS, HeadArgs).backbone_key
    backbones, _ = choose_backbones(context, plan)
    backbone = next(one for _, one in backbones if one.key == key)
    rows = context.seal.open_rows(context.protocol, "learn")
    vectors = extract_features(context.dataset, backbone, find_resources(context)).vectors
    examples = Examples(vectors, context.dataset.labels)
    points = []
    for share in shares:
        own = take_share(context.dataset, rows.train, share, context.settings.seed)

        def fit(train: Indices = own) -> tuple[float, float]:
            start = time.perf_counter()
            found = fit_best(examples, Rows(train, rows.watch))
            return found.score.value, time.perf_counter() - start

        name = f"transfer-{key}-{len(own)}"
        accuracy, took = context.decide("learn", name, tuple[float, float], fit)
        context.reporter.say(f"{chosen.name}, {len(own):,} images: {100 * accuracy:.1f} % of val")
        hits = round(accuracy * len(rows.watch))
        points.append(
            LearningPoint(
                images=len(own),
                score=estimate_proportion(hits, len(rows.watch)),
                seeds=(accuracy,),
                seconds=took,
            )
        )
    both = [(p, s) for p in points for s in scratch if p.images == s.images]
    return TransferCurve(
        model=f"{chosen.name} + logistic head",
        points=tuple(points),
        sentence=say_crossing(
            [point.images for point, _ in both],
            [other.score.value for _, other in both],
            [point.score.value for point, _ in both],
        ),
        seconds=sum(point.seconds for point in points),
    )
