"""What a network is: settings that say how it is built, trained, named and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tellapart.config import Settings, TrainSettings
from tellapart.errors import SettingError
from tellapart.records import Scalar

if TYPE_CHECKING:
    import optuna
    from torch import nn

AUGMENTS = ("none", "shift", "flip+shift", "shift+cutout", "flip+shift+cutout")
"""What a search tries; flips too, since whether they are valid shows on val."""
WIDTHS = (16, 24, 32, 48, 64)
"""Filters of the first layers of the networks that a search tries."""


@dataclass(frozen=True)
class Shape:
    """What data ask of a network: ``channels``, square ``size`` in pixels, ``classes``."""

    channels: int
    size: int
    classes: int


@dataclass(frozen=True)
class Space:
    """What a search may try: at most ``stages`` stages and ``width`` filters in the first."""

    stages: int
    width: int
    epochs: int
    batch_size: int
    seed: int

    def list_widths(self, least: int = 0) -> list[int]:
        """Return the widths to try, up to ``width``, or to ``least`` where that is more."""
        return [width for width in WIDTHS if width <= max(self.width, least)]


class NetworkSettings(Settings):
    """Base of all networks. A subclass has the settings that have a say in it, and no others.

    ``recipe`` is how it is trained unless told, ``smallest`` the least side of an image in pixels.
    A search tries those that are ``searched``; they have `suggest`.
    """

    name: str
    recipe: ClassVar[TrainSettings]
    smallest: ClassVar[int] = 1
    searched: ClassVar[bool] = False

    def __init__(self, **values: Any) -> None:
        for name in values.keys() - type(self).model_fields.keys():
            others = ", ".join(self.list_sizes()) or "none"
            own = type(self).model_fields["name"].default
            raise SettingError(f"model {own} has no setting {name!r}; it has {others}")
        super().__init__(**values)

    @classmethod
    def list_sizes(cls) -> tuple[str, ...]:
        """Return the names of the network's settings."""
        return tuple(name for name in cls.model_fields if name != "name")

    def describe(self) -> dict[str, Scalar]:
        """Return the settings that have a say in the network, by name."""
        return self.model_dump(exclude={"name"})

    @property
    def label(self) -> str:
        """The network's name in a table."""
        return self.name

    @property
    def description(self) -> str:
        """What the network is made of, in words."""
        raise NotImplementedError

    def build(self, shape: Shape) -> nn.Module:
        """Return the network with fresh weights: (n, channels, size, size) floats to logits."""
        raise NotImplementedError

    @classmethod
    def suggest(cls, trial: optuna.Trial, space: Space) -> tuple[Self, dict[str, Scalar]]:
        """Let Optuna choose a network, and what differs from its recipe in its training.

        Optuna keeps one list of choices a name, so names begin with the network's, and with the
        optimiser's where choices differ by it.
        """
        raise NotImplementedError
