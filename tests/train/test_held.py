from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tellapart.data.dataset import Dataset
from tellapart.models.forward import prepare_batch
from tellapart.train.learner import Task, hold_images, place_images
from tellapart.train.loop import train_model

from .conftest import CPU
from .runs import MODEL, RECIPE, ROWS, TASK, read_end


def test_a_cpu_reads_images_as_before(digits: Dataset) -> None:
    assert hold_images(digits, CPU) is digits


def test_held_images_are_those_of_the_source(digits: Dataset) -> None:
    rows = np.array([5, 0, 1700, 5], np.int64)
    held = place_images(digits, CPU).source.read(rows)
    assert isinstance(held, torch.Tensor)
    assert torch.equal(prepare_batch(held, CPU), prepare_batch(digits.source.read(rows), CPU))


@pytest.mark.parametrize("augment", ["none", "standard+flip", "mixup+cutmix"])
def test_training_on_held_images_comes_to_the_same_weights(
    augment: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.model_copy(update={"augment": augment, "epochs": 1})
    task = Task(MODEL, recipe, "cpu", every=TASK.every, precision="float32")
    train_model(digits, ROWS, task, tmp_path / "read")
    monkeypatch.setattr("tellapart.train.loop.hold_images", place_images)
    train_model(digits, ROWS, task, tmp_path / "held")
    assert read_end(tmp_path / "held") == read_end(tmp_path / "read")
