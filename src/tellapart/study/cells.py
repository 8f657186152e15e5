"""The cells of a study, in this process or in several with one core, or GPU, each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from tellapart.config import TrainSettings
from tellapart.errors import TellapartError
from tellapart.models import NetworkSettings, Shape
from tellapart.plan import plan_recipe, plan_swept, weigh_training
from tellapart.records import Place, RunRecord, StepName
from tellapart.search.executor import InlineExecutor, Result, Settings
from tellapart.search.processes import ProcessExecutor
from tellapart.search.sweep import Cell
from tellapart.study.bench import PIXELS, Bench
from tellapart.study.parallel import count_processes, measure_room, share_machine

CellT = TypeVar("CellT")


@dataclass(frozen=True)
class CellWork(ABC, Generic[CellT]):
    """Trains the cells of one place of a study. It can be handed to another process."""

    bench: Bench
    place: Place

    @abstractmethod
    def describe(self, cell: CellT) -> tuple[str, NetworkSettings, TrainSettings]:
        """Return a cell's label, its network, and how it is trained."""

    def find_share(self, cell: CellT) -> float:
        """Return the share of the training images that a cell learns from."""
        return 1.0

    def find(self, cell: CellT) -> RunRecord | None:
        """Return the record of a cell that was trained before, with however many threads."""
        return self.bench.find_training(*self.describe(cell), self.find_share(cell))

    def weigh(self, cell: CellT) -> int:
        """Return the bytes that a cell's process may take."""
        dataset = self.bench.dataset
        shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
        return weigh_training(self.describe(cell)[1], shape)

    def __call__(self, cell: CellT) -> RunRecord:
        return self.bench.train_cell(self.place, *self.describe(cell), share=self.find_share(cell))


@dataclass(frozen=True)
class SweepCell(CellWork[Cell]):
    """Trains a cell of one step's sweep."""

    place: StepName
    epochs: int

    @property
    def setting(self) -> str:
        """The setting that the step varies."""
        return "width" if self.place == "conv" else "dense"

    def describe(self, cell: Cell) -> tuple[str, NetworkSettings, TrainSettings]:
        settings = self.bench.settings
        recipe = plan_recipe(settings, self.place, self.bench.images, settings.seed + cell.seed)
        recipe = recipe.model_copy(update={"epochs": self.epochs})
        label = f"{self.setting}-{cell.size}-seed-{recipe.seed}"
        return label, plan_swept(self.place, cell.size), recipe


class CellExecutor(Generic[CellT]):
    """Reads cells that are done, and trains others in processes or here, with all cores.

    The two take turns: before a training here begins, the processes are done.

    Args:
        is_apart: says which cells are trained in processes, where there are any.
    """

    def __init__(self, work: CellWork[CellT], is_apart: Callable[[CellT], bool]) -> None:
        self._work, self._is_apart = work, is_apart
        self._pool = work.bench.pool
        self._there: Any = None
        self._here = InlineExecutor()

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        cell: Any = settings
        found: Any = self._work.find(cell)
        if found is not None:
            done: Future[Result] = Future()
            done.set_result(found)
            label, _, recipe = self._work.describe(cell)
            self._work.bench.reporter.skip(recipe.epochs, f"{label}: read")
            return done
        if self._pool is None or not self._is_apart(cell):
            if self._pool is not None:
                self._pool.wait_idle()
            return self._here.submit(function, settings)
        if self._there is None:  # the same object each time: it is sent to a process once
            self._there = replace(self._work, bench=self._work.bench.apart)
        future = self._pool.submit(self._there, cell, self._work.weigh(cell))
        future.add_done_callback(lambda done: self._show(cell, done))
        return future

    def _show(self, cell: CellT, done: Future[RunRecord]) -> None:
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


@dataclass(frozen=True)
class Training:
    """Trains what it is told to in one place. It can be handed to another process."""

    bench: Bench
    place: Place

    def __call__(self, cell: tuple[str, NetworkSettings, TrainSettings]) -> RunRecord:
        return self.bench.train_cell(self.place, *cell)


class PoolExecutor:
    """Runs functions in the processes of a study, no more at once than fit in the memory.

    Args:
        find_model: finds the network in the settings of the work.
    """

    def __init__(self, bench: Bench, find_model: Callable[[Any], NetworkSettings]) -> None:
        assert bench.pool is not None
        dataset = bench.dataset
        self._pool, self._find_model = bench.pool, find_model
        self._shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        weight = weigh_training(self._find_model(settings), self._shape)
        return self._pool.submit(function, settings, weight)


@contextmanager
def open_processes(bench: Bench) -> Iterator[Bench]:
    """Give a bench with processes, which start when they are needed, if there may be several."""
    pixels = bench.folder / PIXELS
    pixels.unlink(missing_ok=True)  # of a start that was killed
    count = count_processes(bench.settings)
    if bench.settings.sweep.processes == "auto":
        count = min(count, bench.plan.processes)
    if count < 2:
        yield bench
        return
    try:
        threads, environments = share_machine(bench.settings, count)
        with ProcessExecutor(count, measure_room(), threads, environments) as pool:
            yield replace(bench, pool=pool)
    finally:
        pixels.unlink(missing_ok=True)
