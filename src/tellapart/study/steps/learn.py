"""Would more data help? Asked after the other steps where time allows, or by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tellapart.cells.cell import NetworkCell, Outcome
from tellapart.config import TrainSettings
from tellapart.data.subset import take_share
from tellapart.errors import DataError, SettingError
from tellapart.models import NetworkSettings
from tellapart.records import LearnPlan, LearnStep, ModelStep
from tellapart.search.learn import FEWEST_PER_CLASS, Portion, choose_shares, run_learning
from tellapart.study.context import Context
from tellapart.study.deadline import CAREFUL, FINISH, Deadline, NoTime
from tellapart.study.rules import plan_batch, plan_recipe
from tellapart.study.steps.learn_transfer import learn_transfer
from tellapart.study.steps.step import Step
from tellapart.train.checkpoint import ARGS, NetworkArgs
from tellapart.workspace import read_record

SEEDS = 3


@dataclass(frozen=True)
class Learner:
    """A network, its recipe, and the part of the study whose epochs it has."""

    context: Context
    part: str
    model: NetworkSettings
    recipe: TrainSettings

    def count_images(self, share: float) -> int:
        """Return the number of images in a share."""
        context = self.context
        rows = context.seal.split.train
        return len(take_share(context.dataset, rows, share, context.settings.seed))

    def make_cell(self, portion: Portion, threads: int) -> NetworkCell:
        """Return the training on a share, with the epochs and batch that so many images have."""
        settings, images = self.context.settings, self.count_images(portion.share)
        seed = settings.seed + 1 + portion.seed
        own = plan_recipe(settings, self.part or "baseline", images, seed, self.model)
        recipe = self.recipe.model_copy(update={"epochs": own.epochs, "seed": seed})
        if recipe.batch_size == plan_batch(self.context.images):  # not one that the user named
            recipe = recipe.model_copy(update={"batch_size": plan_batch(images)})
        label = f"images-{images}-seed-{seed}"
        share, rank = portion.share, settings.seed
        return NetworkCell("learn", label, self.model, recipe, share, rank, threads)


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
    named = int(asked) if asked.isdecimal() else None
    needed = 0.0
    for learner in list_learners(context):
        cells = [learner.make_cell(Portion(share, 0), 0) for share in shares]
        epoch = 0.0
        if seconds < float("inf"):
            epoch = context.measure_epoch(learner.model, learner.recipe)
        once = sum(cell.units * cell.share for cell in cells) * epoch
        for seeds in (named,) if named else range(SEEDS, 1, -1):
            beside = [learner.model] if context.fits_beside(learner.model) else []
            workers, gain = context.choose_workers(beside, seeds * once)
            needed = seeds * once / gain
            if needed <= CAREFUL * (seconds - FINISH):
                return LearnPlan(
                    part=learner.part,
                    shares=shares,
                    seeds=seeds,
                    workers=workers,
                    estimate=needed,
                    cut=() if named or seeds == SEEDS else (f"{seeds} seeds of {SEEDS}",),
                    text=f"{len(shares)} shares of the images, {seeds} seeds each",
                )
    raise NoTime(needed / CAREFUL + FINISH, seconds)


def run_learn(context: Context, plan: LearnPlan, deadline: Deadline) -> LearnStep:
    """Train one network on growing shares of the images, and compare on val; test is not opened."""
    learner = next(one for one in list_learners(context) if one.part == plan.part)
    threads = context.threads if plan.workers > 1 else 0

    def train(portions: Sequence[Portion]) -> list[Outcome | None]:
        cells = [learner.make_cell(portion, threads) for portion in portions]
        context.reporter.expect(sum(cell.units for cell in cells))
        return context.run(cells, plan.workers, deadline.is_over)

    found = run_learning(plan.shares, plan.seeds, learner.count_images, train)
    return LearnStep(
        metric=context.metric,
        model=found.runs[-1].label,
        points=found.points,
        curve=found.curve,
        gain=found.gain,
        transfer=learn_transfer(context, plan.shares, found.points, deadline.left()),
        sentence=found.sentence,
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
