"""Small convolutional networks trained from scratch.

All take (n, channels, size, size) floats in [0, 1] and give (n, classes) logits.
"""

from __future__ import annotations

import torch
from torch import nn

from tellapart.config import DEEP, ModelSettings
from tellapart.errors import SettingError
from tellapart.models.dropout import Dropout
from tellapart.models.pool import MaxPool, PooledConv
from tellapart.models.shape import Shape


class Flatten(nn.Module):
    """(n, c, h, w) to (n, h*w*c): for channels-last memory a view, and the order Keras has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class GlobalMean(nn.Module):
    """(n, c, h, w) to (n, c). Its gradient is a view, so that it stays channels-last."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum((2, 3)) / (images.shape[2] * images.shape[3])


def make_simple(settings: ModelSettings, shape: Shape) -> nn.Module:
    """Conv 3x3 (no padding), max-pool, one dense layer: the reference study's simple network.

    Pooling stands before the rectifier: the two commute, and the rectifier then has a quarter
    of the work.

    Raises:
        SettingError: the images are smaller than 4 px.
    """
    if shape.size < 4:
        raise SettingError(f"model simple needs images of at least 4 px, but got {shape.size}")
    side = (shape.size - 2) // 2
    layers: list[nn.Module] = [
        PooledConv(shape.channels, settings.width, 3),
        Flatten(),
    ]
    layers += _make_head(side * side * settings.width, settings, shape.classes)
    return _initialize(nn.Sequential(*layers))


def make_stages(settings: ModelSettings, shape: Shape) -> nn.Module:
    """Stages of 3x3 convolutions with pooling between them, a global mean, a dense layer.

    A stage pools after its first convolution; the last does not pool.

    Raises:
        SettingError: more poolings than the image size allows.
    """
    if shape.size >> (settings.stages - 1) < 1:
        raise SettingError(
            f"stages halve the image, so {shape.size} px allow at most "
            f"{shape.size.bit_length()} of them, but got {settings.stages}"
        )
    trunk, width = make_trunk(settings, shape.channels)
    head = _make_head(width, settings, shape.classes)
    return _initialize(nn.Sequential(trunk, *head))


def make_deep(settings: ModelSettings, shape: Shape) -> nn.Module:
    """The reference study's best network: 32, 64, 128 filters, global mean, dense 2048."""
    return make_stages(DEEP, shape)


def make_trunk(settings: ModelSettings, channels: int) -> tuple[nn.Sequential, int]:
    """Return the stages up to and with the global mean, and the number of features."""
    layers: list[nn.Module] = []
    width = channels
    for stage in range(settings.stages):
        for position in range(settings.convs):
            wider = settings.width * 2**stage
            pools = position == 0 and stage < settings.stages - 1
            layers += _make_block(width, wider, pools, settings.norm)
            width = wider
    layers.append(GlobalMean())
    return nn.Sequential(*layers), width


def _make_block(channels: int, width: int, pools: bool, norm: bool) -> list[nn.Module]:
    if pools and not norm:
        return [PooledConv(channels, width, 3, padding=1)]
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=not norm)]
    if pools:
        layers.append(MaxPool())
    if norm:
        layers.append(nn.BatchNorm2d(width))
    return [*layers, nn.ReLU()]


def _make_head(features: int, settings: ModelSettings, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    if settings.dense:
        layers += [nn.Linear(features, settings.dense), nn.ReLU()]
        features = settings.dense
    if settings.dropout:
        layers.append(Dropout(settings.dropout))
    return [*layers, nn.Linear(features, classes)]


def _initialize(network: nn.Module) -> nn.Module:
    """Glorot-uniform weights and zero biases (Glorot and Bengio 2010), as Keras starts."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
