"""How far a training has come, and the checkpoints that it goes on from.

The order of images, the augmentation and dropout are functions of seed, epoch and step, so no
generator is kept. A checkpoint is one file, ``resume/<epochs>-<steps>-<checksum>.safetensors``:
the tensors, and in the metadata the rest as JSON. Its name holds the first digits of the SHA-256
of its bytes. The newest two are kept: where the last one is damaged, the one before it serves.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from tellapart import __version__
from tellapart.config import hash_settings
from tellapart.data.dataset import Dataset, Indices
from tellapart.device import Meter
from tellapart.errors import WorkspaceError
from tellapart.records import EpochRow
from tellapart.stop import is_stop_asked
from tellapart.train.checkpoint import State, is_finite, list_checkpoints
from tellapart.train.learner import Learner, Task
from tellapart.workspace import write_bytes

SHARE = 20
"""The next checkpoint waits for this many times what the last one took: they cost 5 % at most."""
KEPT = 2
DIGITS = 16
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The names that safetensors has for kinds of numbers."""

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


def start_tally(device: torch.device) -> Tally:
    """Return the tally of an epoch that has not begun."""
    hits = torch.zeros((), dtype=torch.int64, device=device)
    return Tally(torch.zeros((), device=device), hits)


def name_training(
    dataset: Dataset, rows: tuple[Indices, Indices], task: Task, learner: Learner
) -> str:
    """Return a hash of all that a training is a function of: a checkpoint serves no other."""
    digests = [hashlib.sha256(part.tobytes()).hexdigest() for part in rows]
    machine = (learner.device.type, learner.precision)
    what = (task.model, task.recipe, task.metric, task.key, *machine)
    return hash_settings(dataset.fingerprint, digests, *what, __version__)


def save_progress(
    folder: Path, key: str, learner: Learner, progress: Progress, meter: Meter
) -> float:
    """Write a checkpoint, where all is finite, and return the seconds that it took.

    Raises:
        WorkspaceError: the disk is full; older checkpoints stay.
    """
    start = time.perf_counter()
    tree = vars(progress) | {
        "network": learner.network.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "average": learner.average and learner.average.state_dict(),
        "seconds": progress.seconds + meter.seconds,
        "peak_memory_mb": max(progress.peak_memory_mb, meter.peak_memory_mb),
    }
    write_checkpoint(folder, (len(progress.history), progress.tally.step), key, tree)
    return time.perf_counter() - start


def read_progress(folder: Path, key: str, learner: Learner) -> Progress:
    """Bring what is trained to the newest checkpoint of a training, if any, and return the rest."""
    tree, device = read_checkpoint(folder, key), learner.device
    if tree is None:
        return Progress(start_tally(device))
    learner.network.load_state_dict(tree.pop("network"))
    kept = tree.pop("optimizer")
    kept["state"] = {int(number): state for number, state in kept["state"].items()}
    learner.optimizer.load_state_dict(kept)
    average = tree.pop("average")
    if learner.average is not None:
        learner.average.load_state_dict(average)
    tally = Tally(**tree.pop("tally"))
    tally.loss, tally.hits = tally.loss.to(device), tally.hits.to(device)
    history = [EpochRow(**row) for row in tree.pop("history")]
    best_row = tree.pop("best_row")
    return Progress(tally, history, best_row and EpochRow(**best_row), **tree)


def write_checkpoint(
    folder: Path, place: tuple[int, int], key: str, tree: dict[str, Any]
) -> Path | None:
    """Write a checkpoint of a run folder, then remove all but the newest two; return its file.

    Nothing is written, and None returned, where a number is not finite. ``place`` is epochs done,
    and steps of the epoch at work; ``key`` names the training, and all that its course depends
    on; the ``tree`` has tensors, rows and what JSON can hold, by name, in dicts and lists.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written. Older checkpoints stay.
    """
    parts = _pack(key, tree)
    if parts is None:
        return None
    name = f"{place[0]:06d}-{place[1]:08d}-{_digest(*parts)}.safetensors"
    try:
        path = write_bytes(folder / "resume" / name, *parts)
    except WorkspaceError as error:
        raise WorkspaceError(
            f"{error}; the checkpoint before is kept, and the same command goes on from it"
        ) from error
    with suppress(OSError):  # a file too many does no harm
        for old in list_checkpoints(folder)[KEPT:]:
            old.unlink()
    return path


def read_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the tree of a training's newest undamaged checkpoint, or None; tuples are lists.

    Newer ones that are damaged, or of another training, are removed, for by their names they
    would outlive the next ones.
    """
    for path in list_checkpoints(folder):
        with suppress(OSError):  # it may be readable another time
            content = path.read_bytes()
            if _digest(content) in path.name:
                header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
                about = header["__metadata__"]
                if about["key"] == key:
                    return _unpack(about["tree"], load(content))
            path.unlink()
    return None


def _pack(key: str, tree: dict[str, Any]) -> list[bytes | memoryview] | None:
    """Return a checkpoint's bytes in parts, or None where a number is not finite.

    The parts are the tensors' own memory, for the package's ``save`` copies all of it twice. The
    format: the header's length in 8 bytes, the header as JSON, the tensors; largest numbers first,
    so that each begins at a multiple of its size (github.com/huggingface/safetensors).
    """
    tensors: State = {}

    def put(part: torch.Tensor | Tally | EpochRow) -> dict[str, Any]:
        if not isinstance(part, torch.Tensor):
            return dict(vars(part))
        name = str(len(tensors))
        tensors[name] = part.detach().cpu().contiguous()
        # fused optimisers take it that a weight and what they keep of it lie alike in memory
        return {"tensor": name, "stride": part.stride()}

    about = {"key": key, "tree": json.dumps(tree, default=put)}
    if not all(is_finite(tensor) for tensor in tensors.values()):
        return None
    header: dict[str, Any] = {"__metadata__": about}
    parts: list[bytes | memoryview] = []
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda pair: -pair[1].itemsize):
        start, end = end, end + tensor.nbytes
        named = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape)}
        header[name] = named | {"data_offsets": [start, end]}
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *parts]


def _unpack(text: str, tensors: State) -> dict[str, Any]:
    def get(found: dict[str, Any]) -> Any:
        if found.keys() != {"tensor", "stride"}:
            return found
        tensor, stride = tensors[found["tensor"]], tuple(found["stride"])
        if tensor.stride() == stride:
            return tensor
        return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype).copy_(tensor)

    tree: dict[str, Any] = json.loads(text, object_hook=get)
    return tree


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:DIGITS]
