"""How fast this machine trains: what a plan is reckoned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tellapart.config import ModelSettings
from tellapart.plan.rules import StudySettings

LEAST_SAVED = 4.0
"""Seconds that a sweep must save by several processes: to start them takes as long."""

Measure = Callable[[ModelSettings], float]
"""Gives the seconds that training a network on one image takes here."""


def gain_nothing(model: ModelSettings) -> float:
    """Reckon with trainings one after another."""
    return 1.0


def measure_nothing(model: ModelSettings) -> float:
    """Take no time."""
    return 0.0


@dataclass(frozen=True)
class Paces:
    """The paces of networks, by functions that measure each when it is asked for.

    ``measure`` gives seconds an image; ``gain`` how many times as fast a network's trainings are
    where several are done at once, in processes, and 1 where they are not.
    """

    measure: Measure
    gain: Measure = gain_nothing


def is_worth(settings: StudySettings, seconds: float, gain: float) -> bool:
    """Tell whether processes save enough of so many seconds, or are what the user asked for."""
    if gain == 1.0:
        return False
    return seconds * (1 - 1 / gain) >= LEAST_SAVED or settings.sweep.processes != "auto"
