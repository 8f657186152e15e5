from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import signal
from torch import nn

from tellapart.models import (
    Shape,
    SimpleSettings,
    count_parameters,
    make_model,
)

CIFAR = Shape(channels=3, size=32, classes=10)
DIGITS = Shape(channels=1, size=8, classes=10)


def test_the_simple_network_of_the_reference_study_by_hand() -> None:
    network = make_model(SimpleSettings(width=32, dense=128), CIFAR)
    by_hand = (3 * 3 * 3 * 32 + 32) + (15 * 15 * 32 * 128 + 128) + (128 * 10 + 10)
    assert count_parameters(network) == by_hand == 923_914


def as_array(tensor: torch.Tensor | None) -> NDArray[np.float64]:
    assert tensor is not None
    return tensor.detach().double().numpy()


def test_the_simple_network_is_what_keras_computes() -> None:
    """Convolution, rectifier, then pooling, flattened in the order height, width, channel."""
    torch.manual_seed(0)
    network = make_model(SimpleSettings(width=4, dense=5), Shape(2, 7, 3))
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


def test_weights_start_as_in_keras() -> None:
    network = make_model(SimpleSettings(width=64, dense=256), DIGITS)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
            limit = (6 / fan) ** 0.5
            assert 0.9 * limit < layer.weight.abs().max() <= limit
            assert layer.bias is not None
            assert not layer.bias.any()
