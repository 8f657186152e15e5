from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tellapart.config import TrainSettings
from tellapart.train.optim import make_optimizer, schedule_rate


def test_a_constant_rate_stays() -> None:
    recipe = TrainSettings(schedule="constant", lr=0.3)
    assert {schedule_rate(recipe, step, 50) for step in range(50)} == {0.3}


@pytest.mark.parametrize("steps", [10, 57, 400])
def test_onecycle_climbs_in_a_line_and_falls_along_a_half_cosine(steps: int) -> None:
    recipe = TrainSettings(schedule="onecycle", lr=0.2)
    rates = np.array([schedule_rate(recipe, step, steps) for step in range(steps)])
    rise = steps // 5
    line = np.interp(np.arange(rise), [-1, rise], [0, 0.2])
    angles = np.linspace(0, np.pi, steps - rise + 1)[:-1]
    assert rates == pytest.approx(np.concatenate([line, 0.2 * np.cos(angles / 2) ** 2]))
    assert rates.argmax() == rise
    assert rates[-1] < 0.1 * rates.max()
    assert (rates > 0).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_a_rate(steps: int) -> None:
    recipe = TrainSettings(schedule="onecycle", lr=0.2)
    rates = [schedule_rate(recipe, step, steps) for step in range(steps)]
    assert all(0 < rate <= 0.2 for rate in rates)


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize(("optimizer", "pull"), [("adam", 0.5), ("sgd", 0.5 * (1 + 0.9))])
def test_weights_decay_and_biases_and_norms_do_not(optimizer: str, pull: float) -> None:
    network = make_network()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)
        parameter.grad = torch.zeros_like(parameter)
    recipe = TrainSettings.model_validate({"optimizer": optimizer, "lr": 0.1, "weight_decay": 0.5})
    make_optimizer(network, recipe).step()
    for parameter in network.parameters():
        expected = 1 - 0.1 * pull if parameter.ndim > 1 else 1.0
        assert torch.allclose(parameter, torch.tensor(expected))


def test_frozen_weights_are_left_out() -> None:
    network = make_network()
    network[0].requires_grad_(False)
    groups = make_optimizer(network, TrainSettings()).param_groups
    taken = {id(parameter) for group in groups for parameter in group["params"]}
    assert taken == {id(parameter) for parameter in network[1:].parameters()}


def test_adam_is_the_published_one_with_keras_epsilon() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]]))
    layer = nn.Linear(3, 1, bias=False)
    layer.weight = weight
    optimizer = make_optimizer(layer, TrainSettings(lr=0.01))
    rng = np.random.default_rng(0)
    theta = weight.detach().double().numpy().copy()
    first, second = np.zeros(3), np.zeros(3)
    for step in range(1, 6):
        gradient = 1e-6 * rng.normal(size=3)
        weight.grad = torch.from_numpy(gradient[None]).float()
        optimizer.step()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = np.sqrt(second / (1 - 0.999**step)) + 1e-7
        theta = theta - 0.01 * first / (1 - 0.9**step) / rate
    assert weight.detach().numpy() == pytest.approx(theta, abs=1e-6)
