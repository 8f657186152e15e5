from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.device import use_threads
from tellapart.models import SimpleSettings
from tellapart.models.forward import prepare_batch
from tellapart.train.learner import (
    Learner,
    Task,
    hold_images,
    lean_average,
    make_learner,
    place_images,
)
from tellapart.train.loop import train_model

from .conftest import CPU
from .runs import MODEL, RECIPE, TASK, read_end
from .runs import ROWS as SPLIT

ROWS = np.arange(200, dtype=np.int64)


def make_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def take_step(network: nn.Sequential, seed: int) -> None:
    """Move weights, and through a batch the running statistics and their counter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator))
        network(torch.randn(4, 1, 5, 5, generator=generator))


def test_an_average_is_that_of_torch() -> None:
    network, average = make_network(), make_network()
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)  # type: ignore[no-untyped-call]  # untyped in torch
    theirs.update_parameters(network)  # its first call copies
    for seed in range(5):
        take_step(network, seed)
        lean_average(average, network, 0.8)
        theirs.update_parameters(network)
    found, expected = average.state_dict(), theirs.module.state_dict()
    for name, value in found.items():
        if value.is_floating_point():
            assert torch.allclose(value, expected[name], atol=1e-6), name
    assert found["1.num_batches_tracked"] == network.state_dict()["1.num_batches_tracked"]


def test_the_first_steps_of_an_average_count_less() -> None:
    network = make_network()
    learner = Learner(network, torch.optim.SGD(network.parameters()), "float32", 1, 1)
    learner.average, learner.span = make_network(seed=1), 1e9
    start = learner.average.state_dict()["0.weight"].clone()
    for step in range(1, 100):
        learner.advance_average(step)
    left = learner.average.state_dict()["0.weight"] - network.state_dict()["0.weight"]
    begun = start - network.state_dict()["0.weight"]
    expected = np.prod([step / (step + 9) for step in range(1, 100)])
    assert expected < 1e-11
    assert left.norm() <= 1e-6 * begun.norm()


def test_without_an_average_the_network_itself_is_kept(digits: Dataset) -> None:
    task = Task(SimpleSettings(width=4, dense=8), TrainSettings(), "cpu")
    learner = make_learner(digits, ROWS, task)
    assert learner.kept is learner.network
    learner.advance_average(1)


@pytest.mark.parametrize("epochs", [1, 40])
def test_an_average_spans_a_share_of_all_steps(epochs: int, digits: Dataset) -> None:
    recipe = TrainSettings(epochs=epochs, batch_size=64, averaging=0.1)
    learner = make_learner(digits, ROWS, Task(SimpleSettings(width=4, dense=8), recipe, "cpu"))
    assert learner.span == pytest.approx(0.1 * epochs * 4)  # 200 images in batches of 64
    assert learner.kept is learner.average
    assert learner.average is not learner.network
    with torch.no_grad():
        next(learner.network.parameters()).add_(1.0)
    learner.advance_average(5000)
    moved = next(learner.kept.parameters()) - next(learner.network.parameters())
    decay = max(0.0, 1 - 1 / learner.span)
    assert torch.allclose(moved, torch.tensor(-decay), atol=1e-6)


@pytest.mark.parametrize(("width", "batch", "threads"), [(32, 32, 1), (32, 128, 1), (1024, 128, 2)])
def test_a_small_network_learns_with_one_thread(
    width: int, batch: int, threads: int, digits: Dataset
) -> None:
    task = Task(SimpleSettings(width=width), TrainSettings(batch_size=batch), "cpu")
    with use_threads(2):
        assert make_learner(digits, ROWS, task).threads == threads


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
    train_model(digits, SPLIT, task, tmp_path / "read")
    monkeypatch.setattr("tellapart.train.loop.hold_images", place_images)
    train_model(digits, SPLIT, task, tmp_path / "held")
    assert read_end(tmp_path / "held") == read_end(tmp_path / "read")
