"""How far a training has come: all that it needs to go on, beside what the seed already fixes.

The order of images, the augmentation and dropout are functions of seed, epoch and step, so no
generator is kept.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tellapart import __version__
from tellapart.config import hash_settings
from tellapart.data.dataset import Dataset, Indices
from tellapart.device import Meter
from tellapart.records import EpochRow
from tellapart.stop import is_stop_asked
from tellapart.train.checkpoint import State
from tellapart.train.learner import Learner, Task
from tellapart.train.resume import read_checkpoint, write_checkpoint

SHARE = 20
"""The next checkpoint waits for this many times what the last one took: they cost 5 % at most."""

Watch = Callable[[EpochRow], None]
"""Is called with each finished epoch."""

Tick = Callable[[float], None]
"""Is called after each step with the epochs that are done, the part of the one at work included."""


@dataclass
class Tally:
    """The epoch at work: steps done, the last rate, and over images the summed loss and hits.

    Sums stay on the device, so that no step waits for them. ``seconds`` are of earlier starts.
    """

    loss: torch.Tensor
    hits: torch.Tensor
    step: int = 0
    rate: float = 0.0
    seconds: float = 0.0


@dataclass
class Progress:
    """A training: the epoch at work, those that are done, and the best of them.

    ``best`` are that one's weights, ``predicted`` what it made of the images it was chosen on,
    (n,) int64. ``seconds`` and ``peak_memory_mb`` are of earlier starts.
    """

    tally: Tally
    history: list[EpochRow] = field(default_factory=list)
    best_row: EpochRow | None = None
    best: State = field(default_factory=dict)
    predicted: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    seconds: float = 0.0
    peak_memory_mb: float = 0.0


class Pulse:
    """Says when a checkpoint is due; ``every`` 0 means at each look."""

    def __init__(self, every: float) -> None:
        self._every = self.wait = every
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether to write a checkpoint now: it is time, or a stop was asked for."""
        return is_stop_asked() or time.monotonic() - self._last >= self.wait

    def rest(self, cost: float) -> None:
        """Start the wait again, after a checkpoint that took ``cost`` seconds."""
        self.wait = max(self._every, SHARE * cost) if self._every else 0.0
        self._last = time.monotonic()


def ignore_epoch(row: EpochRow) -> None:
    """Do nothing with a finished epoch."""


def ignore_step(epochs: float) -> None:
    """Do nothing with a finished step."""


def start_tally(device: torch.device) -> Tally:
    """Return the tally of an epoch that has not begun."""
    hits = torch.zeros((), dtype=torch.int64, device=device)
    return Tally(torch.zeros((), device=device), hits)


def name_training(
    dataset: Dataset, rows: tuple[Indices, Indices], task: Task, learner: Learner
) -> str:
    """Return a hash of all that a training is a function of: a checkpoint serves no other.

    Args:
        rows: those to train on, and those to choose on.
    """
    digests = [hashlib.sha256(part.tobytes()).hexdigest() for part in rows]
    machine = (learner.device.type, learner.precision)
    what = (task.settings, task.recipe, task.metric, task.key, *machine)
    return hash_settings(dataset.fingerprint, digests, *what, __version__)


def save_progress(
    folder: Path, key: str, learner: Learner, progress: Progress, meter: Meter
) -> float:
    """Write a checkpoint of a training and return the seconds that it took.

    Nothing is written where a weight, or anything else, is not finite.

    Raises:
        WorkspaceError: the disk is full; older checkpoints stay.
    """
    start = time.perf_counter()
    tally = progress.tally
    tree = {
        "network": learner.network.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "average": learner.average and learner.average.state_dict(),
        "best": progress.best,
        "predicted": progress.predicted,
        "best_row": progress.best_row and progress.best_row.model_dump(),
        "history": [row.model_dump() for row in progress.history],
        "tally": dict(vars(tally)),
        "seconds": progress.seconds + meter.seconds,
        "peak_memory_mb": max(progress.peak_memory_mb, meter.peak_memory_mb),
    }
    write_checkpoint(folder, (len(progress.history), tally.step), key, tree)
    return time.perf_counter() - start


def read_progress(folder: Path, key: str, learner: Learner) -> Progress:
    """Bring what is trained to the newest checkpoint of a training, and return the rest.

    Where there is none, they stay as they are and nothing is done yet.
    """
    tree, device = read_checkpoint(folder, key), learner.device
    if tree is None:
        return Progress(start_tally(device))
    learner.network.load_state_dict(tree["network"])
    learner.optimizer.load_state_dict(tree["optimizer"])
    if learner.average is not None:
        learner.average.load_state_dict(tree["average"])
    tally = Tally(**tree["tally"])
    tally.loss, tally.hits = tally.loss.to(device), tally.hits.to(device)
    return Progress(
        tally,
        history=[EpochRow(**row) for row in tree["history"]],
        best_row=tree["best_row"] and EpochRow(**tree["best_row"]),
        best=tree["best"],
        predicted=tree["predicted"],
        seconds=tree["seconds"],
        peak_memory_mb=tree["peak_memory_mb"],
    )
