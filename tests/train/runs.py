"""Small trainings that are stopped, killed and gone on with, and what must come out equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.data.digits import load_digits
from tellapart.models import SpeedSettings, StagesSettings
from tellapart.records import RunRecord
from tellapart.stop import ask_stop
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

MODEL = StagesSettings(width=4, stages=2, norm=True, dense=16, dropout=0.4)
RECIPE = TrainSettings(epochs=3, batch_size=64, lr=3e-3, augment="flip+shift", seed=11)
ROWS = Rows(np.arange(200, dtype=np.int64), np.arange(200, 300, dtype=np.int64))
EPOCH_STEPS = 4  # 200 images in batches of 64, the last of 8
SGD = {"optimizer": "sgd", "lr": 0.05, "weight_decay": 1e-3}
MUON = {"optimizer": "muon", "lr": 0.05, "schedule": "linear"}
AVERAGED = {"averaging": 0.5, "class_weights": "balanced", "schedule": "cosine"}
SPEED = SpeedSettings(width=4, convs=2)
TASK = Task(MODEL, RECIPE, "cpu", every=0, precision="float32")


class CountingSource:
    """Gives what another source gives, and asks for a stop at one of its reads."""

    def __init__(self, source: Any, stop_at: int) -> None:
        self.streamed, self.tone = source.streamed, source.tone
        self.reads = 0
        self._source, self._stop_at = source, stop_at

    def read(self, rows: Indices, size: int | None = None) -> Pixels:
        self.reads += 1
        if self.reads == self._stop_at:
            ask_stop()
        pixels: Pixels = self._source.read(rows) if size is None else self._source.read(rows, size)
        return pixels


def count_reads(dataset: Dataset, stop_at: int = 0) -> tuple[Dataset, CountingSource]:
    """Return the dataset with a source that counts, and that source."""
    source = CountingSource(dataset.source, stop_at)
    return replace(dataset, source=source), source


def read_end(folder: Path) -> dict[str, Any]:
    """Return all that must not depend on interruptions: weights to the bit, history, record."""
    record = RunRecord.model_validate_json((folder / "record.json").read_text())
    plain = record.model_dump(
        exclude={"seconds", "predict_seconds", "peak_memory_mb", "cell", "folder"}
    )
    for row in plain["history"]:
        del row["seconds"]
    weights = {
        f"{path.name}/{name}": tensor.tobytes()
        for path in sorted((folder / "weights").glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }
    history = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    return plain | {"weights": weights, "csv": [line[:1] + line[2:] for line in history]}


def train_small(folder: Path) -> None:
    """Train, or go on with, the small network, with a checkpoint at each step."""
    train_model(load_digits(), ROWS, TASK, folder)
