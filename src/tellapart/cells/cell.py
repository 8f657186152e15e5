"""One training to be done: found where it was done before, else trained, in a folder of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from tellapart import __version__
from tellapart.cells.executor import Executor, InlineExecutor, Resources
from tellapart.cells.reporter import Reporter, TrainingWatch
from tellapart.config import TrainSettings, hash_settings
from tellapart.data.dataset import Dataset, share_dataset
from tellapart.data.subset import take_share
from tellapart.device import DeviceName, Precision, choose_device, use_threads
from tellapart.errors import FAILURES, Failure, Hopeless, TellapartError
from tellapart.evaluate import Seal
from tellapart.models import Network, Shape, count_planned
from tellapart.records import EpochRow, RunRecord
from tellapart.stop import check_stop
from tellapart.train.checkpoint import finish_run, read_failure, remove_checkpoints
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.train.progress import Watch, ignore_epoch
from tellapart.workspace import read_record

PIXELS = ".pixels.bin"
TRAINING_BYTES, PARAMETER_BYTES = 1_000_000_000, 28
"""What a training takes: by itself, and for each weight (gradient, momentum, copies)."""

Outcome = RunRecord | Failure


@dataclass(frozen=True, kw_only=True)
class CellContext:
    """What cells are trained on, and where. It can be handed to another process.

    ``found`` are cells that were read, not trained, in this start.
    """

    dataset: Dataset
    seal: Seal
    folder: Path
    reporter: Reporter
    device: DeviceName = "auto"
    precision: Precision = "float32"
    protocol: str = "holdout"
    metric: str = "accuracy"
    found: list[RunRecord] = field(default_factory=list)

    @cached_property
    def remote(self) -> CellContext:
        """The context that other processes get: they read the pixels from a file that all share."""
        dataset = share_dataset(self.dataset, self.folder / PIXELS)
        return CellContext(
            dataset=dataset,
            seal=Seal(dataset, self.seal.split, self.folder),
            folder=self.folder,
            reporter=Reporter(),
            device=self.device,
            precision=self.precision,
            protocol=self.protocol,
            metric=self.metric,
        )

    @property
    def shape(self) -> Shape:
        """What networks take and give."""
        dataset = self.dataset
        return Shape(dataset.channels, dataset.image_size, len(dataset.classes))


class Cell(ABC):
    """One training: plain data, named by the hash of all that its result depends on.

    ``place`` is the step whose folder it has, ``label`` what a person reads.
    """

    place: str
    label: str

    @property
    @abstractmethod
    def units(self) -> int:
        """Epochs, or what else its progress is counted in."""

    @abstractmethod
    def list_parts(self, context: CellContext) -> list[object]:
        """Return what the result depends on, besides images, split, protocol and metric."""

    @abstractmethod
    def train(
        self, context: CellContext, folder: Path, show: TrainingWatch, follow: Watch
    ) -> RunRecord:
        """Train, in a folder of its own; ``follow`` is called after each epoch."""

    def needs(self, context: CellContext) -> Resources:
        """Return what a worker needs for it."""
        return Resources(memory=TRAINING_BYTES)


@dataclass(frozen=True)
class NetworkCell(Cell):
    """A network trained from scratch on a ``share`` of the training images.

    ``threads``: of the CPU, 0 for as many as pay. Sums are added up in another order with one
    than with several, so that the last bits differ.
    """

    place: str
    label: str
    model: Network
    recipe: TrainSettings
    share: float = 1.0
    share_seed: int = 0
    threads: int = 0

    @property
    def units(self) -> int:
        return self.recipe.epochs

    def list_parts(self, context: CellContext) -> list[object]:
        device = choose_device(context.device).type
        threads = self.threads if device == "cpu" else 0
        share = [] if self.share == 1.0 else [self.share, self.share_seed]
        return [self.model, self.recipe, device, context.precision, threads, *share]

    def needs(self, context: CellContext) -> Resources:
        gpus = int(choose_device(context.device).type == "cuda")
        memory = weigh_training(self.model, context.shape)
        return Resources(cores=max(1, self.threads), memory=memory, gpus=gpus)

    def train(
        self, context: CellContext, folder: Path, show: TrainingWatch, follow: Watch
    ) -> RunRecord:
        keep: Literal["both", "best"] = "both" if self.place == "baseline" else "best"
        task = Task(
            self.model,
            self.recipe,
            context.device,
            keep,
            precision=context.precision,
            metric=context.metric,
        )
        rows = open_rows(context, self.place, self.share, self.share_seed)
        with use_threads(self.threads) if self.threads else nullcontext():
            return fit_network(context.dataset, rows, task, folder, follow, show.show_part)


def open_rows(context: CellContext, place: str, share: float, seed: int) -> Rows:
    """Return a share of the rows that a step trains on, and those that it chooses on."""
    rows = context.seal.open_rows(context.protocol, place)
    if share == 1.0:
        return rows
    return replace(rows, train=take_share(context.dataset, rows.train, share, seed))


def weigh_training(model: Network, shape: Shape) -> int:
    """Return the bytes of memory that training a network may take, in a process of its own."""
    return TRAINING_BYTES + PARAMETER_BYTES * count_planned(model, shape)


def name_cell(context: CellContext, cell: Cell) -> str:
    """Return a cell's name: its label, and a hash of all that its result depends on."""
    digest = hash_settings(
        *cell.list_parts(context),
        context.dataset.fingerprint,
        context.seal.key,
        context.protocol,
        context.metric,
        __version__,
    )
    return f"{cell.label}-{digest}"


def find_cell(context: CellContext, cell: Cell) -> RunRecord | None:
    """Return the record of a cell that was finished before, by whatever step and label."""
    digest = name_cell(context, cell).rpartition("-")[2]
    for path in sorted(context.folder.glob(f"*/*-{digest}/record.json")):
        return read_record(path, RunRecord)
    return None


def train_cell(context: CellContext, cell: Cell, follow: Watch = ignore_epoch) -> RunRecord:
    """Find a cell, or train it.

    Args:
        follow: called after each epoch; may raise `Hopeless` to stop the training.

    Raises:
        NotFinite: its loss, or an output, was not finite, now or by an earlier start.
        Hopeless: as ``follow`` raised it; what the training left is removed.
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    found = find_cell(context, cell)
    if found is not None:
        context.found.append(found)
        context.reporter.skip(cell.units, f"{cell.label}: read")
        for row in found.history:
            follow(row)
        return found
    name = name_cell(context, cell)
    for path in sorted(context.folder.glob(f"*/*-{name.rpartition('-')[2]}")):
        if error := read_failure(path):
            raise error
    check_stop()
    folder = context.folder / cell.place / name
    show = TrainingWatch(context.reporter, cell.label)

    def watch(row: EpochRow) -> None:
        show(row)
        follow(row)

    try:
        run = cell.train(context, folder, show, watch)
    except Hopeless:
        remove_checkpoints(folder)
        raise
    if run.history and (short := cell.units - run.history[-1].epoch) > 0:
        context.reporter.skip(short, f"{cell.label}: nothing better came")
    finish_run(folder, run)  # last of all: a cell with a record is done
    return run


def submit_cell(
    context: CellContext, cell: Cell, executor: Executor, follow: Watch = ignore_epoch
) -> Future[RunRecord]:
    """Train a cell by an executor, or read it; the future has its record, or its error."""
    if not executor.remote or find_cell(context, cell) is not None:
        return InlineExecutor().submit(train_cell, context, cell, follow)
    future = executor.submit(
        train_cell, context.remote, cell, follow, resources=cell.needs(context)
    )
    future.add_done_callback(lambda done: _show(context.reporter, cell, done))
    return future


def run_cells(
    context: CellContext,
    cells: Sequence[Cell],
    executor: Executor,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Outcome | None]:
    """Train cells, and return their records in the order of the cells.

    A training that is not finite, or whose process died twice, gives its error instead; any other
    failure is raised.

    Args:
        is_over: asked before each training but the first; once it says so, those that are left
            give None.
    """
    futures: list[Future[RunRecord]] = []
    for cell in cells:
        running = [future for future in futures if not future.done()]
        if len(running) >= executor.workers:
            wait(running, return_when=FIRST_COMPLETED)
        for future in futures:
            if future.done():
                _read_outcome(future)  # what ends the work is raised now, not after all the others
        if futures and is_over() and find_cell(context, cell) is None:
            break
        futures.append(submit_cell(context, cell, executor))
    found = [_read_outcome(future) for future in futures]
    return [*found, *[None] * (len(cells) - len(futures))]


def _read_outcome(future: Future[RunRecord]) -> Outcome:
    try:
        return future.result()
    except FAILURES as error:
        return error


def _show(reporter: Reporter, cell: Cell, done: Future[RunRecord]) -> None:
    """Show what came of a training elsewhere; a pipe that nobody reads is no reason to end."""
    error = None if done.cancelled() else done.exception()
    with suppress(Exception, SystemExit):
        if isinstance(error, TellapartError):
            reporter.skip(cell.units, f"{cell.label}: {error}")
        elif error is None and not done.cancelled():
            score = 100 * done.result().val_score.value
            reporter.advance(cell.units, f"{cell.label}: {score:.1f} %")
