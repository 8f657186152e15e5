"""The reference study's best network from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tellapart.config import OPTIMIZERS, TrainSettings
from tellapart.models.network import NetworkSettings, Shape
from tellapart.models.stages import StagesSettings

if TYPE_CHECKING:
    from torch import nn

DEEP = StagesSettings(width=32, dense=2048, stages=3)


class DeepSettings(NetworkSettings):
    """Three stages of 32, 64 and 128 filters, a global mean, a dense layer of 2048."""

    name: Literal["deep"] = "deep"
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["muon"]

    @property
    def description(self) -> str:
        """What the network is made of, in words."""
        return "the deep network (32, 64, 128 filters, dense layer of 2048)"

    def build(self, shape: Shape) -> nn.Module:
        """Return the network."""
        return DEEP.build(shape)
