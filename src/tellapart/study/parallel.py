"""What a sweep gains where its networks are trained several at once, with one core each."""

from __future__ import annotations

from collections.abc import Callable

from tellapart.config import ModelSettings
from tellapart.device import choose_device, count_threads, limit_threads, measure_free_memory
from tellapart.models import Shape
from tellapart.plan import Measure, StudySettings, weigh_training

SHARE, MODEST, LARGE = 0.8, 2_300_000_000, 0.1
"""What processes may take together: of the free memory the first part, but no more than so many
bytes, unless the second part is more."""
LEAST_GAIN = 1.25
"""Times as fast below which a size is trained with all cores: one core was measured alone, and
several at work share their caches and the way to the memory."""


def measure_room() -> float:
    """Return the bytes that processes may take together."""
    free = measure_free_memory()
    return max(min(SHARE * free, MODEST), LARGE * free)


def count_processes(settings: StudySettings) -> int:
    """Return how many of a sweep's networks may be trained at once.

    Unless told, as many as this process has threads, with one each; on another device than the
    CPU, and in the notebook's protocol, one.
    """
    asked = settings.sweep.processes
    if asked != "auto":
        return asked
    if settings.protocol == "notebook" or choose_device(settings.device).type != "cpu":
        return 1
    return count_threads()


def find_gain(
    settings: StudySettings, shape: Shape, measure: Measure, measure_alone: Measure
) -> Measure:
    """Return a function that gives how many times as fast a network's trainings are in processes.

    1 where they are trained one after another with all cores: small gains are not taken. No more
    are reckoned with than fit in the memory. Where the user named a number of processes, every
    network is trained in them.

    Args:
        measure: seconds that training on an image takes with all cores.
        measure_alone: the same with one core.
    """
    count, room = count_processes(settings), measure_room()

    def gain(model: ModelSettings) -> float:
        if count < 2:
            return 1.0
        named = settings.sweep.processes != "auto"
        fit = min(count, int(room / weigh_training(model, shape)))
        if not named and fit < 2:
            return 1.0
        found = max(1, fit) * measure(model) / measure_alone(model)
        return found if named or found >= LEAST_GAIN else 1.0

    return gain


def measure_with_one(measure: Callable[[], float]) -> float:
    """Return what is measured while this process computes with one thread."""
    before = count_threads()
    limit_threads(1)
    try:
        return measure()
    finally:
        limit_threads(before)
