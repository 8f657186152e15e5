"""A small residual network, as He et al. (2016, arXiv 1512.03385) made them for CIFAR."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from tellapart.config import OPTIMIZERS, Positive, TrainSettings
from tellapart.models.network import NetworkSettings, Shape

if TYPE_CHECKING:
    from torch import nn


class ResnetSettings(NetworkSettings):
    """One convolution, three stages of residual blocks, a global mean, a linear layer.

    The second and third stage halve the image and have twice the filters of the one before.
    """

    name: Literal["resnet"] = "resnet"
    width: Positive = Field(default=16, description="Filters of the first stage.")
    blocks: Annotated[int, Field(ge=1, le=9)] = Field(
        default=1, description="Residual blocks of a stage, of two convolutions each."
    )
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["muon"].model_copy(update={"label_smoothing": 0.1})
    smallest: ClassVar[int] = 4

    @property
    def label(self) -> str:
        return f"resnet {self.width}, {self.blocks} a stage"

    @property
    def description(self) -> str:
        return (
            f"a residual network of 3 stages ({self.width}, {2 * self.width}, {4 * self.width} "
            f"filters, {self.blocks} block{'s' if self.blocks != 1 else ''} each)"
        )

    def build(self, shape: Shape) -> nn.Module:
        from torch import nn

        from tellapart.models.layers import GlobalMean, Residual

        first = nn.Conv2d(shape.channels, self.width, 3, padding=1, bias=False)
        widths = [self.width * 2**stage for stage in range(3) for _ in range(self.blocks)]
        return nn.Sequential(
            first,
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            *(Residual(before, width) for before, width in pairwise([self.width, *widths])),
            GlobalMean(),
            nn.Linear(widths[-1], shape.classes),
        )
