from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tellapart.errors import SettingError
from tellapart.models import (
    DeepSettings,
    Shape,
    StagesSettings,
    count_parameters,
    make_model,
)

CIFAR = Shape(channels=3, size=32, classes=10)
DIGITS = Shape(channels=1, size=8, classes=10)


def test_the_deep_network_of_the_reference_study_by_hand() -> None:
    by_hand = (
        (3 * 3 * 3 * 32 + 32)
        + (3 * 3 * 32 * 64 + 64)
        + (3 * 3 * 64 * 128 + 128)
        + (128 * 2048 + 2048)
        + (2048 * 10 + 10)
    )
    assert count_parameters(make_model(DeepSettings(), CIFAR)) == by_hand == 377_930


@pytest.mark.parametrize("norm", [False, True])
def test_a_stage_is_made_of_the_stock_layers(norm: bool) -> None:
    """Where it pools, it does so before the rectifier: the two commute."""
    network = make_model(StagesSettings(width=8, dense=0, norm=norm), CIFAR)
    trunk = list(network.children())
    convs = [layer for layer in trunk if isinstance(layer, nn.Conv2d)]
    norms: list[nn.Module] = [layer for layer in trunk if isinstance(layer, nn.BatchNorm2d)]
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    maps = images
    for number, conv in enumerate(convs):
        maps = functional.conv2d(maps, conv.weight, conv.bias, padding=1)
        if norm:  # this one does not commute: it stands after the pooling
            maps = functional.max_pool2d(maps, 2) if number < 2 else maps
            maps = functional.relu(norms[number](maps))
        else:
            maps = functional.relu(maps)
            maps = functional.max_pool2d(maps, 2) if number < 2 else maps
    assert len(convs) == 3
    torch.testing.assert_close(network(images), trunk[-1](maps.mean((2, 3))))


def test_dropout_is_there_in_training_alone() -> None:
    network = make_model(StagesSettings(width=4, dense=64, dropout=0.5), DIGITS)
    images = torch.rand(8, 1, 8, 8)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
    assert functional.softmax(network(images), 1).sum().item() == pytest.approx(8, abs=1e-4)


def test_more_poolings_than_the_image_allows_are_refused() -> None:
    with pytest.raises(SettingError, match="3 px allow at most 2 of them, but got 3"):
        make_model(StagesSettings(stages=3), Shape(1, 3, 2))
    assert make_model(StagesSettings(stages=2, width=2), Shape(1, 3, 2))
