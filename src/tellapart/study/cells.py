"""The cells of a sweep, in this process or in several with one core each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import map_dataset
from tellapart.device import measure_free_memory
from tellapart.errors import TellapartError
from tellapart.evaluate import Seal
from tellapart.models import Shape, count_planned
from tellapart.plan import plan_recipe, plan_swept
from tellapart.records import RunRecord, StepName
from tellapart.search.executor import Executor, InlineExecutor, Result, Settings
from tellapart.search.processes import ProcessExecutor
from tellapart.search.sweep import Cell
from tellapart.study.bench import Bench
from tellapart.study.reporter import SilentReporter

PIXELS = ".pixels.npy"
CELL_BYTES, PARAMETER_BYTES = 1_000_000_000, 28
"""What a training takes: by itself, and for each weight (gradient, momentum, copies)."""
SHARE = 0.8
"""What processes may take together of the free memory."""


@dataclass(frozen=True)
class SweepCell:
    """Trains a cell of one step's sweep. It can be handed to another process."""

    bench: Bench
    step: StepName
    epochs: int

    @property
    def setting(self) -> str:
        """The setting that the step varies."""
        return "width" if self.step == "conv" else "dense"

    def describe(self, cell: Cell) -> tuple[str, ModelSettings, TrainSettings]:
        """Return a cell's label, its network, and how it is trained."""
        settings = self.bench.settings
        recipe = plan_recipe(settings, self.step, self.bench.images, settings.seed + cell.seed)
        recipe = recipe.model_copy(update={"epochs": self.epochs})
        label = f"{self.setting}-{cell.size}-seed-{recipe.seed}"
        return label, plan_swept(self.step, cell.size), recipe

    def find(self, cell: Cell) -> RunRecord | None:
        """Return the record of a cell that was trained before."""
        return self.bench.find_cell(self.bench.name_training(*self.describe(cell)))

    def weigh(self, cell: Cell) -> int:
        """Return the bytes that a cell's process may take."""
        dataset = self.bench.dataset
        shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
        return CELL_BYTES + PARAMETER_BYTES * count_planned(plan_swept(self.step, cell.size), shape)

    def __call__(self, cell: Cell) -> RunRecord:
        return self.bench.train_cell(self.step, *self.describe(cell))


class FinishedFirst:
    """Reads cells that were trained before, and hands the others on."""

    def __init__(self, executor: Executor, work: SweepCell) -> None:
        self._executor, self._work = executor, work

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        assert isinstance(settings, Cell)
        found: Any = self._work.find(settings)
        if found is None:
            return self._executor.submit(function, settings)
        future: Future[Result] = Future()
        future.set_result(found)
        self._work.bench.reporter.skip(self._work.epochs, "read")
        return future


@contextmanager
def open_executor(work: SweepCell) -> Iterator[tuple[Executor, SweepCell]]:
    """Give what runs a sweep's cells, and the function to hand it: one process or several."""
    bench = work.bench
    count = bench.plan.processes
    if count < 2:
        yield InlineExecutor(), work
        return

    def watch(cell: Cell, outcome: RunRecord | BaseException) -> None:
        label, _, _ = work.describe(cell)
        if isinstance(outcome, RunRecord):
            accuracy = 100 * outcome.val_accuracy.value
            bench.reporter.advance(work.epochs, f"{label}: {accuracy:.1f} %")
        elif isinstance(outcome, TellapartError):
            bench.reporter.skip(work.epochs, f"{label}: {outcome}")

    path = bench.folder / PIXELS
    dataset = map_dataset(bench.dataset, path)
    seal = Seal(dataset, bench.split, bench.folder)
    apart = replace(bench, dataset=dataset, seal=seal, reporter=SilentReporter(), threads=1)
    there = replace(work, bench=apart)
    room = SHARE * measure_free_memory()
    try:
        with ProcessExecutor(count, work.weigh, room, watch) as executor:
            here = replace(there, bench=replace(apart, reporter=bench.reporter))
            yield FinishedFirst(executor, here), there
    finally:
        path.unlink(missing_ok=True)
