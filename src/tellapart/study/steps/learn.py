"""Would more data help? Asked after the other steps where time allows, or by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tellapart.cells.cell import NetworkCell, Outcome
from tellapart.config import TrainSettings
from tellapart.data.dataset import Indices
from tellapart.data.subset import take_share
from tellapart.errors import DataError, SettingError
from tellapart.metrics.ranking import Numbers, draw_images
from tellapart.models import NetworkSettings
from tellapart.records import (
    LearningPoint,
    LearnPlan,
    LearnStep,
    ModelStep,
    RunRecord,
    TransferCurve,
    TransferPlan,
    TransferStep,
)
from tellapart.report.wording import say_seconds
from tellapart.search.learn import FEWEST_PER_CLASS, choose_shares, run_learning, say_crossing
from tellapart.search.sweep import Point
from tellapart.study.backbones import find_backbone, find_resources
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, choose_fitting
from tellapart.study.rules import plan_batch, plan_recipe
from tellapart.study.steps.step import Step
from tellapart.train.checkpoint import ARGS, NetworkArgs
from tellapart.train.loop import Rows
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples, HeadArgs
from tellapart.transfer.logistic import fit_best
from tellapart.workspace import read_record

SEEDS = 3
WHOLE = 2.0
"""What heads on all shares take, over one on all images, at most: shares are halves of halves."""


@dataclass(frozen=True)
class Learner:
    """A network, its recipe, and the part of the study whose epochs it has."""

    context: Context
    part: str
    model: NetworkSettings
    recipe: TrainSettings

    def make_cell(self, share: float, number: int, threads: int) -> NetworkCell:
        """Return the training on a share, with the epochs and batch that so many images have."""
        settings, images = self.context.settings, len(take_rows(self.context, share))
        seed = settings.seed + 1 + number
        own = plan_recipe(settings, self.part or "baseline", images, seed, self.model)
        recipe = self.recipe.model_copy(update={"epochs": own.epochs, "seed": seed})
        if recipe.batch_size == plan_batch(self.context.images):  # not one that the user named
            recipe = recipe.model_copy(update={"batch_size": plan_batch(images)})
        label = f"images-{images}-seed-{seed}"
        drawn = settings.seed + number  # each repetition has a share of its own
        return NetworkCell("learn", label, self.model, recipe, share, drawn, threads)


def take_rows(context: Context, share: float) -> Indices:
    """Return a share of the training images."""
    return take_share(context.dataset, context.seal.split.train, share, context.settings.seed)


def list_learners(context: Context) -> list[Learner]:
    """Return the networks that may be asked: the search's, the baseline's, or the user's."""
    settings, found = context.settings, []
    for part in ("search", "baseline"):
        record = context.done.get(part)
        if isinstance(record, ModelStep):
            args = read_record(context.folder / record.run.folder / ARGS, NetworkArgs)
            assert isinstance(args.model, NetworkSettings)
            found.append(Learner(context, part, args.model, args.recipe))
    if found:
        return found
    recipe = plan_recipe(settings, "baseline", context.images, settings.seed, settings.model)
    return [Learner(context, "", settings.model, recipe)]


def plan_learn(context: Context, seconds: float) -> LearnPlan:
    """Return the first network whose trainings on all shares fit, with as many seeds as do."""
    shares = choose_shares(context.images, len(context.dataset.classes))
    asked = context.settings.sweep.seeds.rstrip("+")
    wished = (int(asked),) if asked.isdecimal() else range(SEEDS, 1, -1)

    def estimate(option: tuple[Learner, int]) -> tuple[int, float]:
        learner, seeds = option
        cells = [learner.make_cell(share, 0, 0) for share in shares]
        epoch = 0.0
        if seconds < float("inf"):
            epoch = context.measure_epoch(learner.model, learner.recipe)
        needed = seeds * sum(cell.units * cell.share for cell in cells) * epoch
        beside = [learner.model] if context.fits_beside(learner.model) else []
        workers, gain = context.choose_workers(beside, needed)
        return workers, needed / gain

    options = [(learner, seeds) for learner in list_learners(context) for seeds in wished]
    learner, seeds = choose_fitting(options, lambda one: estimate(one)[1], seconds)
    workers, needed = estimate((learner, seeds))
    return LearnPlan(
        part=learner.part,
        shares=shares,
        seeds=seeds,
        workers=workers,
        estimate=needed,
        cut=() if seeds == wished[0] else (f"{seeds} seeds of {wished[0]}",),
        text=f"{len(shares)} shares of the images, {seeds} seeds each",
    )


def run_learn(context: Context, plan: LearnPlan, deadline: Deadline) -> LearnStep:
    """Train one network on growing shares of the images, and compare on val; test is not opened."""
    learner = next(one for one in list_learners(context) if one.part == plan.part)
    threads = context.threads if plan.workers > 1 else 0
    shares = {len(take_rows(context, share)): share for share in plan.shares}

    def train(points: Sequence[Point]) -> list[Outcome | None]:
        cells = [learner.make_cell(shares[images], number, threads) for images, number in points]
        context.reporter.expect(sum(cell.units for cell in cells))
        return context.run(cells, plan.workers, deadline.is_over)

    def draw(groups: Sequence[Sequence[RunRecord]]) -> Numbers:
        return draw_images(*context.read_choices("learn", groups))

    step = run_learning(tuple(shares), plan.seeds, train, draw)
    curve = learn_transfer(context, plan.shares, step.points, deadline.left())
    return step.model_copy(update={"transfer": curve})


def learn_transfer(
    context: Context, shares: Sequence[float], scratch: Sequence[LearningPoint], left: float
) -> TransferCurve | None:
    """Return what a logistic head on frozen features makes of the shares of a learning curve.

    It is deterministic, so that there is one fit a share, and the interval is Wilson's. None where
    the transfer fitted none on all images, or there is no time for it. ``scratch`` has the points
    of the network from scratch.
    """
    step, path = context.done.get("transfer"), context.folder / "transfer" / "plan.json"
    if not isinstance(step, TransferStep) or context.metric != "accuracy":
        return None
    fitted = [
        (row, WHOLE * head.seconds)
        for row in step.backbones
        for head in row.heads
        if head.kind == "logistic" and not head.views
    ]
    if not fitted or read_record(path, TransferPlan).share < 1.0:
        return None
    chosen, seconds = max(fitted, key=lambda one: one[0].val_score.value)
    if seconds > left:
        context.reporter.say(
            "how much data does a pretrained backbone need? That would take "
            f"{say_seconds(seconds)}, and {say_seconds(left)} are left"
        )
        return None
    args = read_record(context.folder / chosen.run.folder / ARGS, HeadArgs)
    backbone = find_backbone(context, args.backbone, args.image_size, args.backbone_key)
    watch = context.seal.open_rows(context.protocol, "learn").watch
    vectors = extract_features(context.dataset, backbone, find_resources(context)).vectors
    examples = Examples(vectors, context.dataset.labels, groups=context.dataset.groups)
    points: list[LearningPoint] = []
    for share in shares:
        rows = take_rows(context, share)

        def fit(rows: Indices = rows) -> LearningPoint:
            start = time.perf_counter()
            score = fit_best(examples, Rows(rows, watch)).score
            took = time.perf_counter() - start
            return LearningPoint(images=len(rows), score=score, seeds=(score.value,), seconds=took)

        name = f"transfer-{backbone.key}-{len(rows)}"
        points.append(context.decide("learn", name, LearningPoint, fit))
        said = f"{100 * points[-1].score.value:.1f} % of val"
        context.reporter.say(f"{chosen.name}, {len(rows):,} images: {said}")
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


def check_learn(context: Context) -> None:
    """Refuse what leaves nothing to learn from."""
    images, classes = context.images, len(context.dataset.classes)
    if not context.rules.val:
        raise SettingError(
            f"learn chooses epochs on val, which --protocol {context.settings.protocol} does not "
            "have; leave it out"
        )
    if not choose_shares(images, classes):
        raise DataError(
            f"learn needs at least {FEWEST_PER_CLASS} training images a class, but got "
            f"{images} images of {classes} classes; add images"
        )


STEP = Step(
    run=run_learn, plan=plan_learn, plan_kind=LearnPlan, weight=4, optional=True, check=check_learn
)
