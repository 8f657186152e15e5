"""A network for small images that reaches a high accuracy in few epochs.

After Page (2018) and Jordan (2024, arXiv 2404.00498): a first layer that whitens small patches and
is computed, not trained; pooling before anything costly; convolutions that start as the identity;
batch normalisation without a scale; a global maximum; a linear head with a fixed scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from tellapart.config import OPTIMIZERS, Positive, TrainSettings
from tellapart.models.network import AUGMENTS, NetworkSettings, Shape, Space
from tellapart.records import Scalar

if TYPE_CHECKING:
    import optuna
    from torch import nn

WIDEN = 4
"""Filters of the later groups over those of the first."""
LARGE = 48
"""From this side in pixels on, the whitening takes every second patch."""


class SpeedSettings(NetworkSettings):
    """Groups of convolutions, as many as halve the image until it is below 4 px.

    Images of ``LARGE`` px and more are halved by the first layer already.
    """

    name: Literal["speed"] = "speed"
    width: Positive = Field(default=32, description="Filters of the first group.")
    convs: Annotated[int, Field(ge=1, le=3)] = Field(
        default=2, description="Convolutions of a group."
    )
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["muon"].model_copy(update={"label_smoothing": 0.2})
    smallest: ClassVar[int] = 4
    searched: ClassVar[bool] = True

    @property
    def label(self) -> str:
        return f"speed {self.width}, {self.convs} a group"

    @property
    def description(self) -> str:
        return (
            f"a speednet with {self.width} filters in its first group, {self.convs} convolutions "
            "a group"
        )

    def build(self, shape: Shape) -> nn.Module:
        from torch import nn

        from tellapart.models.layers import Group, Peak, Scale, Whiten

        stride = 2 if shape.size >= LARGE else 1
        first = Whiten(shape.channels, stride)
        layers: list[nn.Module] = [first, nn.GELU()]
        channels, width, side = first.out_channels, self.width, shape.size // stride - 1
        while True:
            layers.append(Group(channels, width, self.convs))
            channels, width, side = width, WIDEN * self.width, side // 2
            if side < 4:
                break
        head = nn.Linear(channels, shape.classes, bias=False)
        nn.init.normal_(head.weight)
        return nn.Sequential(*layers, Peak(), Scale(channels**0.5), head)

    @classmethod
    def suggest(cls, trial: optuna.Trial, space: Space) -> tuple[Self, dict[str, Scalar]]:
        """Let Optuna choose a network, and what differs from its recipe in its training."""
        model = cls(
            width=trial.suggest_categorical("speed width", space.list_widths()),
            convs=trial.suggest_int("speed convs", 2, 3),
        )
        return model, {
            "lr": trial.suggest_float("speed lr", 0.015, 0.15, log=True),
            "label_smoothing": trial.suggest_categorical("speed label_smoothing", [0.0, 0.1, 0.2]),
            "augment": trial.suggest_categorical("speed augment", list(AUGMENTS)),
        }
