"""Would more data help? Asked after the six steps where time allows, or by itself."""

from __future__ import annotations

from dataclasses import dataclass

from tellapart.config import TrainSettings
from tellapart.data.subset import take_share
from tellapart.device import Meter
from tellapart.errors import DataError
from tellapart.models import NetworkSettings, read_network
from tellapart.plan import is_worth, plan_batch, plan_recipe
from tellapart.records import (
    AnyStep,
    LearningRecord,
    ModelStep,
    RunRecord,
    SearchStep,
    StepName,
)
from tellapart.report.plots import draw_learning
from tellapart.report.wording import say_left, say_seconds
from tellapart.search.learn import FEWEST_PER_CLASS, Portion, choose_shares, run_learning
from tellapart.study.answers import label_network
from tellapart.study.bench import Bench
from tellapart.study.cells import CellExecutor, CellWork
from tellapart.study.learn_transfer import learn_transfer
from tellapart.train.checkpoint import ARGS, NetworkArgs
from tellapart.workspace import read_record, write_json

LEARN_SEEDS = 3
Network = tuple[str, NetworkSettings, TrainSettings]
"""A part of the study whose epochs a network has, the network, and its recipe."""


@dataclass(frozen=True)
class LearnCell(CellWork[Portion]):
    """Trains one network on a share of the training images."""

    part: str
    model: NetworkSettings
    recipe: TrainSettings

    def count_images(self, share: float) -> int:
        """Return the number of images in a share."""
        bench = self.bench
        return len(take_share(bench.dataset, bench.split.train, share, bench.settings.seed))

    def describe(self, cell: Portion) -> tuple[str, NetworkSettings, TrainSettings]:
        settings, images = self.bench.settings, self.count_images(cell.share)
        seed = settings.seed + 1 + cell.seed
        epochs = plan_recipe(settings, self.part, images, 0, self.model).epochs
        own = self.recipe.model_copy(update={"epochs": epochs, "seed": seed})
        if own.batch_size == plan_batch(self.bench.images):  # not one that the user named
            own = own.model_copy(update={"batch_size": plan_batch(images)})
        return f"images-{images}-seed-{seed}", self.model, own

    def find_share(self, cell: Portion) -> float:
        return cell.share


def run_learn(bench: Bench, done: dict[StepName, AnyStep]) -> LearningRecord | None:
    """Return what growing shares of the data come to, or None where there is no time for it.

    The network is that of the search where the minutes allow, else that of the baseline, else, by
    itself, the one that was asked for. It is trained on each share for the epochs that so many
    images have, and looked at on val; test is not opened.
    """
    path = bench.folder / "learn" / "record.json"
    if path.is_file():
        return read_record(path, LearningRecord)
    shares = choose_shares(bench.images, len(bench.dataset.classes))
    if not shares:
        if bench.settings.steps:
            return None
        raise DataError(
            f"learn needs at least {FEWEST_PER_CLASS} training images a class, but got "
            f"{bench.images} images of {len(bench.dataset.classes)} classes; add images"
        )
    asked = bench.settings.sweep
    seeds = asked.seeds if isinstance(asked.seeds, int) else asked.first or LEARN_SEEDS
    chosen = choose_network(bench, done, shares, seeds)
    if chosen is None:
        return None
    work = LearnCell(bench, "learn", *chosen)
    epochs = seeds * sum(work.describe(Portion(share, 0))[2].epochs for share in shares)
    bench.reporter.begin("learn", epochs)
    apart = bench.settle("learn", "work", bool, lambda: is_faster_apart(work, shares, seeds))
    with Meter() as meter:
        executor = CellExecutor(work, lambda portion: apart)
        found = run_learning(shares, seeds, work.count_images, work, executor)
    spent = meter.seconds + sum(step.seconds for step in done.values())
    left = 60 * (bench.plan.minutes or 0.0) - spent
    transfer = learn_transfer(bench, done, shares, found.points, left)
    record = LearningRecord(
        model=label_network(found.runs[-1]),
        points=found.points,
        curve=found.curve,
        gain=found.gain,
        transfer=transfer,
        sentence=found.sentence,
        seconds=max(meter.seconds, bench.clock.read("learn")),
        peak_memory_mb=meter.peak_memory_mb,
    )
    draw_learning(record, bench.folder / "learn")
    write_json(path, record)
    bench.reporter.say(record.sentence)
    if transfer is not None:
        bench.reporter.say(transfer.sentence)
    return record


def is_faster_apart(work: LearnCell, shares: tuple[float, ...], seeds: int) -> bool:
    """Tell whether trainings in several processes save enough to be worth their start."""
    bench = work.bench
    if bench.pool is None:
        return False
    shown = sum(
        work.count_images(share) * work.describe(Portion(share, 0))[2].epochs for share in shares
    )
    seconds = seeds * shown * bench.paces.measure(work.model)
    return is_worth(bench.settings, seconds, bench.paces.gain(work.model))


def choose_network(
    bench: Bench, done: dict[StepName, AnyStep], shares: tuple[float, ...], seeds: int
) -> Network | None:
    """Return the best network whose trainings fit what is left of the minutes, or None."""
    settings = bench.settings
    if not settings.steps:
        recipe = plan_recipe(settings, "baseline", bench.images, settings.seed, settings.model)
        return "baseline", settings.model, recipe
    spent = sum(step.seconds for step in done.values())
    left = 60 * (bench.plan.minutes or 0.0) - spent
    for step in ("search", "baseline"):
        record = done.get(step)
        if not isinstance(record, ModelStep):
            continue
        args = read_record(bench.folder / record.run.folder / ARGS, NetworkArgs)
        model, recipe = args.model, args.recipe
        assert isinstance(model, NetworkSettings)
        needed = reckon_seconds(bench, step, record.run, shares, seeds)
        if needed <= left:
            part = "search" if isinstance(record, SearchStep) else "baseline"
            return part, model, recipe
        bench.reporter.say(
            f"would more data help? Asked of the network of {step} it would take "
            f"{say_seconds(needed)}, and {say_left(left)}"
        )
    return None


def reckon_seconds(
    bench: Bench, part: StepName, run: RunRecord, shares: tuple[float, ...], seeds: int
) -> float:
    """Return the seconds that a network like that of ``run`` takes on all shares."""
    pace = run.seconds / len(run.history) / bench.images
    total = 0.0
    for share in shares:
        images = max(1, round(share * bench.images))
        model = read_network(run.model)
        total += images * plan_recipe(bench.settings, part, images, 0, model).epochs
    return seeds * pace * total
