"""The reference study's simple network: one convolution and one dense layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from tellapart.config import OPTIMIZERS, Positive, TrainSettings
from tellapart.models.network import NetworkSettings, Shape

if TYPE_CHECKING:
    from torch import nn


class SimpleSettings(NetworkSettings):
    """Conv 3x3 (no padding), max-pool, one dense layer.

    It is what sweeps vary: Muon takes it further than Adam, but at a dense layer of 2048 its steps
    cost many times the rest of the training.
    """

    name: Literal["simple"] = "simple"
    width: Positive = Field(default=32, description="Filters of the convolution.")
    dense: Annotated[int, Field(ge=0)] = Field(
        default=128, description="Units of the dense layer; 0 for none."
    )
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["adam"]
    smallest: ClassVar[int] = 4

    @property
    def label(self) -> str:
        return f"simple {self.width}/{self.dense}"

    @property
    def description(self) -> str:
        return f"the simple network with {self.width} filters and a dense layer of {self.dense}"

    def build(self, shape: Shape) -> nn.Module:
        """Return the network. Pooling before the rectifier leaves that a quarter of the work."""
        from torch import nn

        from tellapart.models.layers import Flatten, initialize, make_dense
        from tellapart.models.patches import FEW, WIDE, WideConv

        side = (shape.size - 2) // 2
        dense = make_dense(side * side * self.width, self.dense, shape.classes)
        if self.width >= WIDE and shape.channels <= FEW:
            wide = WideConv(shape.channels, self.width, 3)
            return initialize(nn.Sequential(wide, Flatten(), *dense))
        conv = nn.Conv2d(shape.channels, self.width, 3)
        return initialize(nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU(), Flatten(), *dense))
