"""What data ask of a network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """``channels``, square ``size`` in pixels, ``classes``."""

    channels: int
    size: int
    classes: int
