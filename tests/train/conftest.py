"""A small network trained once, for the tests of the loop and of its files; and noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tellapart.config import TrainSettings
from tellapart.data.dataset import ArraySource, Dataset, Indices, Pixels
from tellapart.data.loader import Batch
from tellapart.data.split import Split
from tellapart.models import SimpleSettings
from tellapart.models.forward import prepare_batch
from tellapart.records import EpochRow, RunRecord
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

CPU = torch.device("cpu")
MODEL = SimpleSettings(width=8, dense=32)
RECIPE = TrainSettings(epochs=3, batch_size=32, lr=3e-3, seed=5)


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
    record = train_model(
        digits, rows, Task(MODEL, RECIPE, "cpu", precision="float32"), folder, watched.append
    )
    return Trained(folder, record, rows, watched)


def make_images(count: int, side: int = 12, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Return random images as a network gets them."""
    return prepare_batch(make_pixels(count, side, channels, seed), CPU)


def make_pixels(count: int, side: int = 12, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (count, side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make_noise(count: int, side: int, channels: int, classes: int = 5) -> Dataset:
    """Return a dataset of random pixels."""
    pixels = make_pixels(count, side, channels)
    return Dataset(
        name="noise",
        origin="noise",
        classes=tuple(map(str, range(classes))),
        labels=np.arange(count) % classes,
        source=ArraySource(pixels),
        hashes=tuple(map(str, range(count))),
        roles=("",) * count,
        image_size=side,
        size_reason="as made",
        channels=channels,
        sizes={},
        modes={},
    )


def read_batch(dataset: Dataset, rows: Indices) -> Batch:
    """Return the batch of these rows, as the loader gives it."""
    return dataset.source.read(rows), dataset.labels[rows], rows
