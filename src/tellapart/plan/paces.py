"""How fast this machine trains: what a plan is reckoned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings
from tellapart.plan.rules import StudySettings

LEAST_SAVED = 4.0
"""Seconds that a sweep must save by several processes: to start them takes as long."""
LEAST_GAIN = 1.25
"""Times as fast below which trainings go one after another with all cores: one core was measured
alone, and several at work share their caches and the way to the memory."""

Measure = Callable[[NetworkSettings], float]
"""Gives the seconds that training a network on one image takes here."""
MeasureRecipe = Callable[[NetworkSettings, TrainSettings], float]
"""Gives the same for a network that is trained in a way of its own."""


def gain_nothing(model: NetworkSettings) -> float:
    """Reckon with trainings one after another."""
    return 1.0


def measure_nothing(model: NetworkSettings) -> float:
    """Take no time."""
    return 0.0


@dataclass(frozen=True)
class Paces:
    """The paces of networks, by functions that measure each when it is asked for.

    ``measure`` gives seconds an image; ``gain`` how many times as fast a network's trainings are
    where ``processes`` of them are done at once, and 1 where they are not. ``measure_recipe`` is
    asked where trainings differ in more than their network; without it, that has no say.
    """

    measure: Measure
    gain: Measure = gain_nothing
    processes: int = 1
    measure_recipe: MeasureRecipe | None = None

    def reckon(self, model: NetworkSettings, recipe: TrainSettings) -> float:
        """Return the seconds an image that a network takes if it is trained in that way."""
        if self.measure_recipe is None:
            return self.measure(model)
        return self.measure_recipe(model, recipe)

    def gain_of(self, model: NetworkSettings, at_once: int) -> float:
        """Return how many times as fast a network's trainings are, so many at once; 1 if no more.

        A gain that is next to nothing is none, unless it is what the processes gain by themselves.
        """
        if at_once == 1:
            return 1.0
        found = self.gain(model)
        if found == 1.0 or at_once == self.processes:
            return found
        found *= at_once / self.processes
        return found if found >= LEAST_GAIN else 1.0


def is_worth(settings: StudySettings, seconds: float, gain: float) -> bool:
    """Tell whether processes save enough of so many seconds, or are what the user asked for."""
    if gain == 1.0:
        return False
    return seconds * (1 - 1 / gain) >= LEAST_SAVED or settings.sweep.processes != "auto"
