from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from tellapart.config import TrainSettings
from tellapart.train.optim import (
    OFTEN,
    clear_tiny,
    make_optimizer,
    schedule_rate,
    weigh_classes,
)


def test_a_constant_rate_stays() -> None:
    recipe = TrainSettings(schedule="constant", lr=0.3)
    assert {schedule_rate(recipe, step, 50) for step in range(50)} == {0.3}


@pytest.mark.parametrize("steps", [10, 57, 400])
@pytest.mark.parametrize(("schedule", "share"), [("onecycle", 0.2), ("cosine", 0.05)])
def test_a_climb_in_a_line_and_a_fall_along_a_half_cosine(
    schedule: Any, share: float, steps: int
) -> None:
    recipe = TrainSettings(schedule=schedule, lr=0.2)
    rates = np.array([schedule_rate(recipe, step, steps) for step in range(steps)])
    rise = max(1, int(share * steps))
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


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 3], [50, 7, 1])  # none of class 2
    weights = weigh_classes(TrainSettings(class_weights="balanced"), labels, 4, torch.device("cpu"))
    assert weights is not None
    there = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert weights[[0, 1, 3]].numpy() == pytest.approx(there, rel=1e-6)
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-6)
    assert torch.isfinite(weights).all()


def test_classes_count_as_their_images_unless_told() -> None:
    labels = np.array([0, 0, 1])
    assert weigh_classes(TrainSettings(), labels, 2, torch.device("cpu")) is None


@pytest.mark.parametrize("name", ["adam", "sgd", "muon"])
def test_momentum_of_what_has_no_gradient_never_falls_to_slow_numbers(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    recipe = TrainSettings.model_validate({"optimizer": name, "lr": 1e-3})
    optimizer = make_optimizer(network, recipe)
    tiny = torch.finfo(torch.float32).tiny
    slow = 0
    for step in range(1, 1001):
        optimizer.zero_grad()
        scale = 1.0 if step < 5 else 0.0
        (network(torch.ones(2, 4)).sum() * scale).backward()
        optimizer.step()
        if step % OFTEN == 0:
            before = [weight.detach().clone() for weight in network.parameters()]
            clear_tiny(optimizer)
            assert all(map(torch.equal, before, network.parameters()))
        for state in optimizer.state.values():
            for kept in state.values():
                if isinstance(kept, torch.Tensor) and kept.ndim:
                    slow += int(((kept != 0) & (kept.abs() < tiny)).sum())
    assert slow == 0


def test_what_an_optimiser_keeps_of_live_weights_stays() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = make_optimizer(nn.ParameterList([weight]), TrainSettings())
    weight.grad = torch.full((3, 3), 1e-4)
    optimizer.step()
    before = {name: kept.clone() for name, kept in optimizer.state[weight].items()}
    clear_tiny(optimizer)
    for name, kept in optimizer.state[weight].items():
        assert torch.equal(kept, before[name])
