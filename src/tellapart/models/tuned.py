"""A pretrained backbone and its head as one network, to be trained on together."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from tellapart.config import HeadSettings, Share
from tellapart.models.backbone import PixelBackbone
from tellapart.models.layers import make_head
from tellapart.models.network import NetworkSettings, Shape
from tellapart.models.weights import build_network
from tellapart.records import Scalar


class TunedSettings(NetworkSettings):
    """A backbone that is fine-tuned: all that builds it, weights apart.

    ``depth`` and ``decay`` are those of `TuneSettings`; ``none`` is a head on a frozen backbone.
    """

    name: Literal["tuned"] = "tuned"
    backbone: str
    architecture: dict[str, Any]
    image_size: Annotated[int, Field(ge=1)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    features: Annotated[int, Field(ge=1)]
    head: HeadSettings
    depth: Literal["none", "last", "all"] = "last"
    decay: Share = 0.7

    def describe(self) -> dict[str, Scalar]:
        return self.model_dump(include={"backbone", "image_size", "depth", "decay"})

    @property
    def description(self) -> str:
        parts = [f"{name} {value}" for name, value in self.describe().items()]
        return f"a tuned network ({', '.join(parts)})"

    def build(self, shape: Shape) -> nn.Module:
        body = build_network(self.architecture)
        pixel = PixelBackbone(body, self.image_size, self.mean, self.std)
        return TunedNetwork(pixel, make_head(self.features, shape.classes, self.head))


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

    def list_layers(self) -> list[list[nn.Parameter]]:
        """Return the backbone's weights from the image on, by the stages of its architecture."""
        body = self.body.network
        if hasattr(body, "group_matcher"):
            from timm.models import group_parameters

            matcher = body.group_matcher(coarse=True)  # type: ignore[operator]  # a method on timm's
            found = group_parameters(body, matcher, return_values=True)
            layers = [list(found[number]) for number in sorted(found)]
        else:
            layers = [list(child.parameters()) for child in body.children()]
        return [layer for layer in layers if layer]

    def set_rates(self, settings: TunedSettings) -> list[tuple[float, list[nn.Parameter]]]:
        """Freeze what stays; return the rest with rates over the recipe's, from the image on."""
        layers = self.list_layers()
        kept = 0 if settings.depth == "all" else len(layers) - math.ceil(len(layers) / 3)
        for layer in layers[:kept]:
            for weight in layer:
                weight.requires_grad_(False)
        layers = [*layers[kept:], list(self.head.parameters())]
        scales = (settings.decay**depth for depth in reversed(range(len(layers))))
        return list(zip(scales, layers, strict=True))

    def save_memory(self) -> None:
        """Checkpoint gradients (Chen et al. 2016, arXiv 1604.06174), where timm's network can."""
        body = self.body.network
        if hasattr(body, "set_grad_checkpointing"):
            with suppress(AssertionError):  # how some say that they cannot
                body.set_grad_checkpointing(True)  # type: ignore[operator]  # a method on timm's
