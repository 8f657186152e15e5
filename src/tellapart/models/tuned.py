"""A pretrained backbone and its head as one network, to be trained on together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from tellapart.config import (
    HeadSettings,
    Settings,
    Share,
)
from tellapart.models.backbone import PixelBackbone
from tellapart.models.head import make_head
from tellapart.models.weights import build_network

Depth = Literal["last", "all"]


class TunedSettings(Settings):
    """A backbone that is fine-tuned: all that builds it, weights apart.

    ``depth`` and ``decay`` are those of `TuneSettings`.
    """

    name: Literal["tuned"] = "tuned"
    backbone: str
    architecture: dict[str, Any]
    image_size: Annotated[int, Field(ge=1)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    features: Annotated[int, Field(ge=1)]
    head: HeadSettings
    depth: Depth = "last"
    decay: Share = 0.7


class TunedNetwork(nn.Module):
    """(n, c, h, w) floats in [0, 1] to logits. Norms of the backbone keep their statistics.

    With few images a batch, statistics of its own would be mostly chance.
    """

    def __init__(self, body: PixelBackbone, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.norms = [m for m in body.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in self.norms:
            norm.frozen = True  # type: ignore[assignment]  # read by has_norm

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body.see(images))
        return logits

    def train(self, mode: bool = True) -> TunedNetwork:
        super().train(mode)
        for norm in self.norms:
            norm.eval()
        return self


def make_tuned(settings: TunedSettings, classes: int) -> TunedNetwork:
    """Return a network as settings have it, its weights fresh.

    Raises:
        BackboneError: the settings are not those of a network alone.
    """
    body = build_network(settings.architecture)
    pixel = PixelBackbone(body, settings.image_size, settings.mean, settings.std)
    return TunedNetwork(pixel, make_head(settings.features, classes, settings.head))


def list_layers(network: TunedNetwork) -> list[list[nn.Parameter]]:
    """Return the backbone's weights layer by layer, from the image to the features.

    A layer is what the architecture calls a stage, or a part of a plain sequence.
    """
    body = network.body.network
    if hasattr(body, "group_matcher"):
        from timm.models import group_parameters

        matcher = body.group_matcher(coarse=True)  # type: ignore[operator]  # a method on timm's
        found = group_parameters(body, matcher, return_values=True)
        layers = [list(found[number]) for number in sorted(found)]
    else:
        layers = [list(child.parameters()) for child in body.children()]
    return [layer for layer in layers if layer]
