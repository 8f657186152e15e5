"""What the steps of a study share: data, split, sealed test, folder, and cells done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from tellapart import __version__
from tellapart.config import TrainSettings, hash_settings
from tellapart.data.dataset import Dataset, share_dataset
from tellapart.data.split import Split
from tellapart.data.subset import take_share
from tellapart.device import Meter, Precision, choose_device, choose_precision
from tellapart.errors import Hopeless
from tellapart.evaluate import Look, Seal, evaluate_model, predict_run
from tellapart.models import NetworkSettings, Shape
from tellapart.plan import Paces, StudySettings, plan_study, reckon_needs
from tellapart.records import (
    PLACES,
    EpochRow,
    Place,
    PlanRecord,
    RunRecord,
    StepName,
    StepRecord,
    TestRecord,
)
from tellapart.report.plots import draw_run
from tellapart.search.processes import ProcessExecutor
from tellapart.stop import check_stop
from tellapart.study.clock import Clock
from tellapart.study.parallel import make_paces, share_machine
from tellapart.study.reporter import Reporter, SilentReporter, TrainingWatch
from tellapart.train.checkpoint import finish_run, read_failure
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.train.progress import Watch, ignore_epoch
from tellapart.train.resume import remove_checkpoints
from tellapart.workspace import Content, read_record, write_json

PLAN = "plan.json"
PIXELS = ".pixels.npy"


@dataclass(frozen=True)
class Bench:
    """One study at work.

    With ``threads`` other than 0 it is at work in one of several processes, which ``pool`` has.
    """

    settings: StudySettings
    dataset: Dataset
    split: Split
    seal: Seal
    folder: Path
    reporter: Reporter
    threads: int = 0
    pool: ProcessExecutor | None = None

    @cached_property
    def plan(self) -> PlanRecord:
        """The plan of ``plan.json``; settled by the study's first start, and measured for then."""
        path = self.folder / PLAN
        if path.is_file():
            return read_record(path, PlanRecord)
        return self.make_plan()

    def make_plan(self) -> PlanRecord:
        """Plan the study, measuring how fast this machine trains where a budget needs it."""
        dataset, settings = self.dataset, self.settings
        shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))

        plan = plan_study(settings, shape, self.images, self.paces)
        precision: Precision = "float32"
        if not self.notebook:
            precision = choose_precision(choose_device(settings.device))
        processes = self.paces.processes
        plan = plan.model_copy(update={"precision": precision, "processes": processes})
        return plan.model_copy(update={"needs": reckon_needs(plan, settings, shape)})

    @cached_property
    def paces(self) -> Paces:
        """Measure networks when asked to."""
        return make_paces(self.settings, self.dataset, self.split, self.reporter.say)

    @cached_property
    def apart(self) -> Bench:
        """The bench that a process gets: it reads the pixels from a file that all share."""
        dataset = share_dataset(self.dataset, self.folder / PIXELS)
        seal = Seal(dataset, self.split, self.folder)
        quiet = SilentReporter()
        threads, _ = share_machine(self.settings, self.plan.processes)
        return replace(self, dataset=dataset, seal=seal, reporter=quiet, threads=threads, pool=None)

    @property
    def images(self) -> int:
        """Training images, from which the plan follows."""
        return len(self.split.train)

    @property
    def notebook(self) -> bool:
        """Whether best epochs are chosen on test, so that test figures are optimistic."""
        return self.settings.protocol == "notebook"

    @cached_property
    def split_key(self) -> str:
        """A hash of which images are train, val and test."""
        hashes, split = self.dataset.hashes, self.split
        return hash_settings(
            *([hashes[row] for row in rows] for rows in (split.train, split.val, split.test))
        )

    def open_rows(self, step: Place) -> Rows:
        """Return the rows to train on and to choose on."""
        return self.seal.open_rows(self.settings.protocol, step)

    def name_cell(self, label: str, *parts: object) -> str:
        """Return a cell's name: a readable label, and a hash of all that its result depends on."""
        digest = hash_settings(
            *parts, self.dataset.fingerprint, self.split_key, self.settings.protocol, __version__
        )
        return f"{label}-{digest}"

    def name_training(
        self,
        label: str,
        model: NetworkSettings,
        recipe: TrainSettings,
        share: float = 1.0,
        threads: int | None = None,
    ) -> str:
        """Return the name of the cell of a training from scratch.

        On a CPU sums are added up in another order with one thread than with several, so that the
        last bits differ.
        """
        threads = self.threads if threads is None else threads
        parts: list[object] = [model, recipe, self.device, self.plan.precision]
        parts += [] if share == 1.0 else [share]
        parts += [f"threads {threads}"] if threads and self.device == "cpu" else []
        return self.name_cell(label, *parts)

    def find_training(
        self, label: str, model: NetworkSettings, recipe: TrainSettings, share: float = 1.0
    ) -> RunRecord | None:
        """Return the record of a training that was finished before, with however many threads."""
        for threads in sorted({self.threads, 0, 1}, key=lambda number: number != self.threads):
            name = self.name_training(label, model, recipe, share, threads)
            if (found := self.find_cell(name)) is not None:
                return found
        return None

    @property
    def device(self) -> str:
        """The kind of device that trains."""
        return choose_device(self.settings.device).type

    def find_cell(self, cell: str) -> RunRecord | None:
        """Return the record of a finished cell of any step and label with the same hash."""
        digest = cell.rpartition("-")[2]
        for step in PLACES:
            for path in sorted((self.folder / step).glob(f"*-{digest}/record.json")):
                return read_record(path, RunRecord)
        return None

    def train_cell(
        self,
        step: Place,
        label: str,
        model: NetworkSettings,
        recipe: TrainSettings,
        follow: Watch = ignore_epoch,
        share: float = 1.0,
    ) -> RunRecord:
        """Train a cell, or read it where it was trained before.

        Args:
            follow: called after each epoch; may raise `Hopeless` to stop the training.
            share: how much of the training images there is to learn from, class by class.

        Raises:
            NotFinite: its loss, or an output, was not finite, now or by an earlier start.
            Hopeless: as ``follow`` raised it; what the training left is removed.
            Interrupted: a stop was asked for.
        """
        keep: Literal["both", "best"] = "both" if step == "baseline" else "best"
        task = Task(model, recipe, self.settings.device, keep, precision=self.plan.precision)
        found = self.find_training(label, model, recipe, share)
        if found is not None:
            self.reporter.skip(recipe.epochs, f"{label}: read")
            for row in found.history:
                follow(row)
            return found
        cell = self.name_training(label, model, recipe, share)
        self.check_failure(cell)
        check_stop()
        folder = self.folder / step / cell
        rows = self.open_rows(step)
        if share < 1:
            own = take_share(self.dataset, rows.train, share, self.settings.seed)
            rows = replace(rows, train=own)
        show = self.watch(label)

        def watch(row: EpochRow) -> None:
            show(row)
            follow(row)

        try:
            with Meter() as meter:
                run = fit_network(self.dataset, rows, task, folder, watch, show.show_part)
        except Hopeless:
            remove_checkpoints(folder)
            self.keep_time(step, cell, meter.seconds)
            raise
        if short := recipe.epochs - run.history[-1].epoch:
            self.reporter.skip(short, f"{label}: nothing better came")
        draw_run(run, None, self.dataset.classes, folder)
        self.keep_time(step, cell, run.seconds)
        finish_run(folder, run)  # last of all: a cell with a record is not looked at again
        return run

    def check_failure(self, cell: str) -> None:
        """Refuse a cell whose training failed before, for it would fail again.

        Raises:
            NotFinite: its loss, or an output, was not finite.
        """
        digest = cell.rpartition("-")[2]
        for step in PLACES:
            for path in sorted((self.folder / step).glob(f"*-{digest}")):
                if error := read_failure(path):
                    raise error

    def watch(self, label: str) -> TrainingWatch:
        """Return what shows each epoch of a training, one gone on with included."""
        return TrainingWatch(self.reporter, label)

    def test_run(self, step: StepName, run: RunRecord) -> TestRecord:
        """Look at the test split once with a step's final network, and draw what it shows."""
        folder = self.folder / run.folder
        look = Look(step, run.cell, f"final model of step {step}")
        test = evaluate_model(
            self.seal,
            look,
            predict_run(self.dataset, folder, self.settings.device, run),
            folder,
            optimistic=self.notebook,
        )
        draw_run(run, test, self.dataset.classes, folder)
        return test

    @property
    def clock(self) -> Clock:
        """The seconds of finished parts."""
        return Clock(self.folder)

    def keep_time(self, step: Place, part: str, seconds: float) -> None:
        """Keep the seconds of a part of a step, so that a start after a kill has them.

        Of parts that several processes did at once, each is a share of the time that went by.
        """
        self.clock.keep(step, part, seconds / (self.plan.processes if self.threads else 1))

    def settle(
        self, place: Place, name: str, kind: type[Content], decide: Callable[[], Content]
    ) -> Content:
        """Return what was decided of a step's work by its first start; decide now if this is it.

        Decisions that hang on what was measured would else be others after a kill.
        """
        path = self.folder / place / f"{name}.json"
        if not path.is_file():
            write_json(path, decide())
        return read_record(path, kind)

    def read_step(self, step: StepName, kind: type[StepRecord]) -> StepRecord | None:
        """Return the record of a finished step, or None."""
        path = self.folder / step / "record.json"
        return read_record(path, kind) if path.is_file() else None
