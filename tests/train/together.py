"""Small trainings, alone or as one of several processes, and what they leave to be compared.

Run as ``python -m tests.train.together FOLDER NAME...`` with what ``torchrun`` sets for each
process. Each prints the rows that it read, by training, as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.data.digits import load_digits
from tellapart.errors import NotFinite, TellapartError
from tellapart.records import RunRecord
from tellapart.stop import ask_stop
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model
from tellapart.train.ranks import leave_ranks, read_ranks

ROOT = Path(__file__).resolve().parents[2]
SIMPLE = ModelSettings(width=4, dense=16)
NORMED = ModelSettings(name="stages", width=4, stages=2, norm=True, dense=16)
SPEED = ModelSettings(name="speed", width=4, convs=2)
RECIPE = TrainSettings(epochs=3, batch_size=64, lr=3e-3, augment="flip+shift", seed=11)
MUON = RECIPE.model_copy(update={"optimizer": "muon", "lr": 0.05, "schedule": "linear"})
MIXED = {"augment": "flip+shift+mixup", "label_smoothing": 0.1, "weight_decay": 1e-2}
AVERAGED = {"averaging": 0.5, "class_weights": "balanced", "patience": 3}

CASES: dict[str, tuple[ModelSettings, TrainSettings, int]] = {
    "adam": (SIMPLE, RECIPE, 203),
    "muon": (SIMPLE, MUON, 203),
    "averaged": (NORMED, RECIPE.model_copy(update=AVERAGED), 203),
    "mixup": (SIMPLE, RECIPE.model_copy(update=MIXED), 193),
    "norm": (NORMED, RECIPE.model_copy(update={"optimizer": "sgd", "lr": 0.05}), 203),
    "speed": (SPEED, MUON, 193),
    "lone": (NORMED, RECIPE, 1),
}
"""Network, recipe, training images: 193 in batches of 64 leave one, and a share of none.

Networks with norms have even batches; theirs has a share of none where there is one image in all.
"""

STOPPED = "adam-stopped"
RESUMED = "adam-resumed"
BLOWN = "adam-blown"
DIES = "adam-dies"


class NotingSource:
    """Gives what another source gives, notes the rows, and may ask for a stop at one read."""

    streamed = False

    def __init__(self, source: Any, stop_at: int = 0) -> None:
        self.rows: list[list[int]] = []
        self._source, self._stop_at = source, stop_at

    def read(self, rows: Indices, size: int | None = None) -> Pixels:
        self.rows.append(rows.tolist())
        if len(self.rows) == self._stop_at:
            ask_stop()
        pixels: Pixels = self._source.read(rows) if size is None else self._source.read(rows, size)
        return pixels


def note_rows(stop_at: int = 0) -> tuple[Dataset, NotingSource]:
    """Return the digits with a source that notes, and that source."""
    digits = load_digits()
    source = NotingSource(digits.source, stop_at)
    return replace(digits, source=source), source


def train_case(name: str, folder: Path, stop_at: int = 0) -> tuple[RunRecord, list[list[int]]]:
    """Train one case; ``adam-blown`` at a rate that leads to infinity."""
    model, recipe, images = CASES[name.partition("-")[0]]
    if name == BLOWN:
        recipe = recipe.model_copy(update={"lr": 1e30})
    rows = Rows(np.arange(images, dtype=np.int64), np.arange(300, 401, dtype=np.int64))
    dataset, source = note_rows(stop_at)
    record = train_model(
        dataset, rows, Task(model, recipe, "cpu", precision="float32"), folder / name
    )
    return record, source.rows


def start_ranks(count: int, *command: str, env: dict[str, str] | None = None) -> list[Any]:
    """Start ``python *command`` so many times, each with what ``torchrun`` would set."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | (env or {}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def end_ranks(processes: list[Any], seconds: float = 100) -> list[tuple[int, str, str]]:
    """Wait for processes, and return the exit code, output and errors of each."""
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *texts) for p, texts in zip(processes, said, strict=True)]


def main(folder: Path, names: list[str]) -> int:
    """Train the cases named; rank 1 alone is asked to stop, or dies, where the name says so."""
    leads = read_ranks().leads
    read: dict[str, list[list[int]]] = {}
    try:
        for name in names:
            if name == DIES and not leads:
                setattr(NotingSource, "read", die)  # noqa: B010 - mypy allows no plain assignment
            stop_at = 6 if name == STOPPED and not leads else 0
            try:
                record, read[name] = train_case(name, folder, stop_at)
            except NotFinite:
                assert name == BLOWN
                continue
            assert len(record.history) == 3
    except TellapartError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        print(json.dumps(read))
        leave_ranks()
    return 0


def die(source: NotingSource, rows: Indices, size: int | None = None) -> Pixels:
    os._exit(9)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(code)  # as the command line ends where there are several processes
