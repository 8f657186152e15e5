"""Networks. The one table from names to constructors is here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tellapart.config import ModelName, ModelSettings
from tellapart.models.cnn import make_deep, make_simple, make_stages
from tellapart.models.shape import Shape
from tellapart.models.speednet import Whiten, make_speed

__all__ = ["MODELS", "Shape", "adapt_model", "count_parameters", "count_planned", "make_model"]

MODELS: dict[ModelName, Callable[[ModelSettings, Shape], nn.Module]] = {
    "simple": make_simple,
    "deep": make_deep,
    "stages": make_stages,
    "speed": make_speed,
}


def make_model(settings: ModelSettings, shape: Shape) -> nn.Module:
    """Build the network that ``settings.name`` names, with fresh weights."""
    return MODELS[settings.name](settings, shape)


def adapt_model(network: nn.Module, read_images: Callable[[], torch.Tensor]) -> None:
    """Compute what a network takes from the images alone, before it is trained.

    Args:
        read_images: gives (n, channels, side, side) floats in [0, 1] on the network's device;
            called only if the network looks at them.
    """
    for layer in network.modules():
        if isinstance(layer, Whiten):
            layer.fit(read_images())


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights that training can change."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def count_planned(settings: ModelSettings, shape: Shape) -> int:
    """Return the number of parameters of a network, without taking memory for it."""
    with torch.device("meta"):
        return count_parameters(make_model(settings, shape))
