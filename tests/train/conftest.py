"""A small network trained once, for the tests of the loop and of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.records import EpochRow, RunRecord
from tellapart.train.loop import Rows, Task, train_model

MODEL = ModelSettings(width=8, dense=32)
RECIPE = TrainSettings(epochs=3, batch_size=32, lr=3e-3, precision="float32", seed=5)


@dataclass(frozen=True)
class Trained:
    folder: Path
    record: RunRecord
    rows: Rows
    watched: list[EpochRow]


@pytest.fixture(scope="session")
def trained(
    digits: Dataset, digits_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    folder = tmp_path_factory.mktemp("baseline") / "simple-0123456789"
    rows = Rows(digits_split.train, digits_split.val)
    watched: list[EpochRow] = []
    record = train_model(digits, rows, Task(MODEL, RECIPE, "cpu"), folder, watched.append)
    return Trained(folder, record, rows, watched)
