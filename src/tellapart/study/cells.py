"""The cells of a sweep, in this process or in several with one core each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import map_dataset
from tellapart.errors import TellapartError
from tellapart.evaluate import Seal
from tellapart.models import Shape
from tellapart.plan import plan_recipe, plan_swept
from tellapart.records import Place, RunRecord, StepName
from tellapart.search.executor import Executor, InlineExecutor, Result, Settings
from tellapart.search.processes import ProcessExecutor
from tellapart.search.sweep import Cell
from tellapart.study.bench import Bench
from tellapart.study.parallel import measure_room, weigh_training
from tellapart.study.reporter import SilentReporter

PIXELS = ".pixels.npy"


@dataclass(frozen=True)
class CellWork:
    """Trains the cells of one place of a study. It can be handed to another process."""

    bench: Bench
    place: Place

    def describe(self, cell: Cell) -> tuple[str, ModelSettings, TrainSettings]:
        """Return a cell's label, its network, and how it is trained."""
        raise NotImplementedError

    def find(self, cell: Cell) -> RunRecord | None:
        """Return the record of a cell that was trained before."""
        return self.bench.find_cell(self.bench.name_training(*self.describe(cell)))

    def weigh(self, cell: Cell) -> int:
        """Return the bytes that a cell's process may take."""
        dataset = self.bench.dataset
        shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
        return weigh_training(self.describe(cell)[1], shape)

    def __call__(self, cell: Cell) -> RunRecord:
        return self.bench.train_cell(self.place, *self.describe(cell))


@dataclass(frozen=True)
class SweepCell(CellWork):
    """Trains a cell of one step's sweep."""

    place: StepName
    epochs: int

    @property
    def setting(self) -> str:
        """The setting that the step varies."""
        return "width" if self.place == "conv" else "dense"

    def describe(self, cell: Cell) -> tuple[str, ModelSettings, TrainSettings]:
        settings = self.bench.settings
        recipe = plan_recipe(settings, self.place, self.bench.images, settings.seed + cell.seed)
        recipe = recipe.model_copy(update={"epochs": self.epochs})
        label = f"{self.setting}-{cell.size}-seed-{recipe.seed}"
        return label, plan_swept(self.place, cell.size), recipe


class CellExecutor:
    """Trains the networks of small sizes in processes, and the others here, with all cores.

    The two take turns: before a training here begins, the processes are done.
    """

    def __init__(self, pool: ProcessExecutor, work: CellWork, apart: Collection[int]) -> None:
        bench = work.bench
        assert bench.apart is not None
        self._pool, self._work, self._apart = pool, work, apart
        self._there = replace(work, bench=bench.apart)
        self._here = InlineExecutor()

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        cell: Any = settings
        if cell.size not in self._apart:
            self._pool.wait_idle()
            return self._here.submit(function, settings)
        future: Future[Any] = Future()
        found = self._there.find(cell)
        if found is None:
            future = self._pool.submit(self._there, cell, self._there.weigh(cell))
            future.add_done_callback(lambda done: self._show(cell, done))
        else:
            future.set_result(found)
            self._work.bench.reporter.skip(self._work.describe(cell)[2].epochs, "read")
        return future

    def _show(self, cell: Cell, done: Future[RunRecord]) -> None:
        """Show what came of a training; a pipe that nobody reads is no reason to end."""
        error = None if done.cancelled() else done.exception()
        label, _, recipe = self._work.describe(cell)
        reporter, epochs = self._work.bench.reporter, recipe.epochs
        with suppress(Exception, SystemExit):
            if isinstance(error, TellapartError):
                reporter.skip(epochs, f"{label}: {error}")
            elif error is None and not done.cancelled():
                accuracy = 100 * done.result().val_accuracy.value
                reporter.advance(epochs, f"{label}: {accuracy:.1f} %")


def choose_executor(work: CellWork, apart: Collection[int]) -> Executor:
    """Return what runs cells: this process, or several for the sizes ``apart``."""
    pool = work.bench.pool
    return InlineExecutor() if pool is None else CellExecutor(pool, work, apart)


@contextmanager
def open_processes(bench: Bench) -> Iterator[Bench]:
    """Give a bench whose sweeps have the processes that the plan wants, if it wants any."""
    if bench.plan.processes < 2:
        yield bench
        return
    path = bench.folder / PIXELS
    dataset = map_dataset(bench.dataset, path)
    seal = Seal(dataset, bench.split, bench.folder)
    apart = replace(bench, dataset=dataset, seal=seal, reporter=SilentReporter(), threads=1)
    try:
        with ProcessExecutor(bench.plan.processes, measure_room()) as pool:
            yield replace(bench, pool=pool, apart=apart)
    finally:
        path.unlink(missing_ok=True)
