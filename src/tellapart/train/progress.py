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
from typing import Any

import torch

from tellapart import __version__
from tellapart.config import hash_settings
from tellapart.data.dataset import Dataset, Indices
from tellapart.device import Meter
from tellapart.errors import SettingError
from tellapart.records import EpochRow
from tellapart.stop import is_stop_asked
from tellapart.train.checkpoint import State
from tellapart.train.learner import Learner
from tellapart.train.ranks import ALONE, Ranks, send_bytes, send_weights
from tellapart.train.resume import (
    pack_checkpoint,
    read_checkpoint,
    unpack_checkpoint,
    write_checkpoint,
)

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
    """A training: the epoch at work, those that are done, the best of them, and its weights.

    ``seconds`` and ``peak_memory_mb`` are of earlier starts.
    """

    tally: Tally
    history: list[EpochRow] = field(default_factory=list)
    best_row: EpochRow | None = None
    best: State = field(default_factory=dict)
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


def name_training(dataset: Dataset, rows: tuple[Indices, Indices], *settings: object) -> str:
    """Return a hash of all that a training is a function of: a checkpoint serves no other.

    Args:
        dataset: the images.
        rows: those to train on, and those to choose on.
        settings: network, recipe, kind of device, number format.
    """
    parts = [hashlib.sha256(part.tobytes()).hexdigest() for part in rows]
    return hash_settings(dataset.fingerprint, parts, *settings, __version__)


def save_progress(
    folder: Path,
    key: str,
    learner: Learner,
    progress: Progress,
    meter: Meter,
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
        "best_row": progress.best_row and progress.best_row.model_dump(),
        "history": [row.model_dump() for row in progress.history],
        "tally": dict(vars(tally)),
        "seconds": progress.seconds + meter.seconds,
        "peak_memory_mb": max(progress.peak_memory_mb, meter.peak_memory_mb),
    }
    write_checkpoint(folder, (len(progress.history), tally.step), key, tree)
    return time.perf_counter() - start


def read_progress(
    folder: Path,
    key: str,
    learner: Learner,
    ranks: Ranks = ALONE,
) -> Progress:
    """Bring what is trained to the newest checkpoint of a training, and return the rest.

    Where there is none, they stay as they are and nothing is done yet. Of several processes
    rank 0 reads, and gives the others what it found, and its weights.

    Raises:
        SettingError: rank 0 has another training.
    """
    tree = read_checkpoint(folder, key) if ranks.leads else None
    if ranks.count > 1:
        tree = send_tree(ranks, key, tree)
    send_weights(ranks, learner.network)
    device = learner.device
    if tree is None:
        return Progress(start_tally(device))
    learner.network.load_state_dict(tree["network"])
    learner.optimizer.load_state_dict(tree["optimizer"])
    if learner.average is not None:
        learner.average.load_state_dict(tree["average"])
    tally = Tally(**tree["tally"])
    tally.loss, tally.hits = tally.loss.to(device), tally.hits.to(device)
    best_row = tree["best_row"] and EpochRow(**tree["best_row"])
    history = [EpochRow(**row) for row in tree["history"]]
    measured = (tree["seconds"], tree["peak_memory_mb"])
    return Progress(tally, history, best_row, tree["best"], *measured)


def send_tree(ranks: Ranks, key: str, tree: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the tree that rank 0 gives, after a look at whether its training is this one's.

    Raises:
        SettingError: it is not.
    """
    packed = pack_checkpoint(key, tree or {}) if ranks.leads else None
    found = unpack_checkpoint(send_bytes(ranks, b"".join(packed or ())), key)
    if found is None:
        raise SettingError(
            f"all processes of a training need the same images and settings, but those of rank "
            f"{ranks.rank} differ from rank 0's; give all of them the same data and arguments"
        )
    return found or None
