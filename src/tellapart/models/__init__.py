"""Networks. The one table from names to constructors is here."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tellapart.config import ModelName, ModelSettings
from tellapart.models.cnn import Shape, make_deep, make_simple, make_stages

__all__ = ["MODELS", "Shape", "count_parameters", "count_planned", "make_model"]

MODELS: dict[ModelName, Callable[[ModelSettings, Shape], nn.Module]] = {
    "simple": make_simple,
    "deep": make_deep,
    "stages": make_stages,
}


def make_model(settings: ModelSettings, shape: Shape) -> nn.Module:
    """Build the network that ``settings.name`` names, with fresh weights."""
    return MODELS[settings.name](settings, shape)


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights that training can change."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def count_planned(settings: ModelSettings, shape: Shape) -> int:
    """Return the number of parameters of a network, without taking memory for it."""
    import torch

    with torch.device("meta"):
        return count_parameters(make_model(settings, shape))
