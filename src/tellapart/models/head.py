"""The head of a transfer: what comes behind the features of a backbone."""

from __future__ import annotations

import torch
from torch import nn

from tellapart.config import HeadSettings
from tellapart.models.layers import Dropout


class Standardize(nn.Module):
    """Features less their mean, over their standard deviation, both of the training images."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) * self.scale


def make_head(features: int, classes: int, settings: HeadSettings) -> nn.Sequential:
    """Return standardisation, a hidden layer of ``dense`` units where asked, and the logits."""
    layers: list[nn.Module] = [Standardize(torch.zeros(features), torch.ones(features))]
    if settings.dense:
        layers += [nn.Linear(features, settings.dense), nn.ReLU()]
    layers.append(Dropout(settings.dropout))
    layers.append(nn.Linear(settings.dense or features, classes))
    return nn.Sequential(*layers)
