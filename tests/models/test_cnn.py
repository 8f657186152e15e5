from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import signal
from tellapart.models.cnn import Flatten, make_trunk
from torch import nn
from torch.nn import functional

from tellapart.config import DEEP, ModelSettings
from tellapart.errors import SettingError
from tellapart.models import MODELS, Shape, count_parameters, count_planned, make_model

CIFAR = Shape(channels=3, size=32, classes=10)
DIGITS = Shape(channels=1, size=8, classes=10)


def test_the_simple_network_of_the_reference_study_by_hand() -> None:
    network = make_model(ModelSettings(width=32, dense=128), CIFAR)
    by_hand = (3 * 3 * 3 * 32 + 32) + (15 * 15 * 32 * 128 + 128) + (128 * 10 + 10)
    assert count_parameters(network) == by_hand == 923_914


def test_the_deep_network_of_the_reference_study_by_hand() -> None:
    by_hand = (
        (3 * 3 * 3 * 32 + 32)
        + (3 * 3 * 32 * 64 + 64)
        + (3 * 3 * 64 * 128 + 128)
        + (128 * 2048 + 2048)
        + (2048 * 10 + 10)
    )
    assert count_parameters(make_model(DEEP, CIFAR)) == by_hand == 377_930


@pytest.mark.parametrize("shape", [CIFAR, DIGITS, Shape(1, 29, 3)])
@pytest.mark.parametrize(
    "settings",
    [
        ModelSettings(width=16, dense=0),
        ModelSettings(width=8, dense=64, dropout=0.3),
        ModelSettings(name="deep"),
        ModelSettings(name="stages", width=8, stages=1, dense=0),
        ModelSettings(name="stages", width=8, stages=4, convs=3, norm=True, dense=32),
    ],
)
def test_the_planned_count_is_the_built_one(settings: ModelSettings, shape: Shape) -> None:
    network = make_model(settings, shape)
    assert count_planned(settings, shape) == count_parameters(network)
    images = torch.rand(2, shape.channels, shape.size, shape.size)
    assert network.eval()(images).shape == (2, shape.classes)


def test_planning_takes_no_memory() -> None:
    assert count_planned(ModelSettings(width=1024, dense=10**6), CIFAR) > 2e11


def as_array(tensor: torch.Tensor | None) -> NDArray[np.float64]:
    assert tensor is not None
    return tensor.detach().double().numpy()


def test_the_simple_network_is_what_keras_computes() -> None:
    """Convolution, rectifier, then pooling, flattened in the order height, width, channel."""
    torch.manual_seed(0)
    network = make_model(ModelSettings(width=4, dense=5), Shape(2, 7, 3))
    assert isinstance(network, nn.Sequential)
    convolution, hidden, last = (
        layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)
    )
    nn.init.normal_(convolution.bias)  # type: ignore[arg-type]  # this one has a bias
    image = np.random.default_rng(0).random((2, 7, 7))
    kernels = as_array(convolution.weight)
    maps = np.array(
        [
            sum(signal.correlate2d(image[c], kernel[c], "valid") for c in range(2))
            for kernel in kernels
        ]
    )
    maps = np.maximum(maps + as_array(convolution.bias)[:, None, None], 0)
    pooled = maps[:, :4, :4].reshape(4, 2, 2, 2, 2).max((2, 4))
    flat = pooled.transpose(1, 2, 0).ravel()
    middle = np.maximum(as_array(hidden.weight) @ flat + as_array(hidden.bias), 0)
    expected = as_array(last.weight) @ middle + as_array(last.bias)
    found = network(torch.from_numpy(image).float()[None])
    assert as_array(found[0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("norm", [False, True])
def test_a_stage_is_made_of_the_stock_layers(norm: bool) -> None:
    """Where it pools, it does so before the rectifier: the two commute."""
    trunk, _ = make_trunk(ModelSettings(name="stages", width=8, norm=norm), 3)
    trunk = trunk.to(memory_format=torch.channels_last)
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
    torch.testing.assert_close(trunk(images), maps.mean((2, 3)))


def test_flattening_is_height_width_channel() -> None:
    images = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    expected = images.numpy().transpose(0, 2, 3, 1).reshape(2, -1)
    assert Flatten()(images).tolist() == expected.tolist()
    last = images.contiguous(memory_format=torch.channels_last)
    assert Flatten()(last).data_ptr() == last.data_ptr()


def test_the_trunk_ends_in_a_mean_over_the_image() -> None:
    trunk, width = make_trunk(ModelSettings(name="stages", width=4, stages=2), 3)
    images = torch.rand(2, 3, 8, 8)
    maps = trunk[:-1](images)
    assert width == 8
    assert maps.shape == (2, 8, 4, 4)
    assert torch.allclose(trunk(images), maps.mean((2, 3)))


def test_weights_start_as_in_keras() -> None:
    network = make_model(ModelSettings(width=64, dense=256), DIGITS)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
            limit = (6 / fan) ** 0.5
            assert 0.9 * limit < layer.weight.abs().max() <= limit
            assert layer.bias is not None
            assert not layer.bias.any()


def test_dropout_is_there_in_training_alone() -> None:
    network = make_model(ModelSettings(width=4, dense=64, dropout=0.5), DIGITS)
    images = torch.rand(8, 1, 8, 8)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
    assert functional.softmax(network(images), 1).sum().item() == pytest.approx(8, abs=1e-4)


def test_images_too_small_are_refused() -> None:
    with pytest.raises(SettingError, match="at least 4 px, but got 3"):
        make_model(ModelSettings(), Shape(1, 3, 2))
    with pytest.raises(SettingError, match="3 px allow at most 2 of them, but got 3"):
        make_model(ModelSettings(name="stages", stages=3), Shape(1, 3, 2))
    assert make_model(ModelSettings(name="stages", stages=2, width=2), Shape(1, 3, 2))


def test_the_table_names_every_network() -> None:
    assert set(MODELS) == {"simple", "deep", "speed", "stages"}
