"""The paces of networks here, and what is gained by training several at once, one core each."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.device import choose_device, count_threads, measure_free_memory, use_threads
from tellapart.models import NetworkSettings, Shape, SimpleSettings
from tellapart.plan import (
    LEAST_GAIN,
    Measure,
    Paces,
    StudySettings,
    plan_recipe,
    weigh_training,
)
from tellapart.train.learner import Task
from tellapart.train.pace import measure_task

SHARE, MODEST, LARGE = 0.8, 2_300_000_000, 0.1
"""What processes may take together: of the free memory the first part, but no more than so many
bytes, unless the second part is more."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
SMALLEST = SimpleSettings(width=1, dense=1)
LOOK = 1 / 3
"""What an image costs that is only told, over one that is trained on (forward, and twice back)."""


def measure_room() -> float:
    """Return the bytes that processes may take together."""
    free = measure_free_memory()
    return max(min(SHARE * free, MODEST), LARGE * free)


def count_processes(settings: StudySettings) -> int:
    """Return how many of a sweep's networks may be trained at once.

    Unless told, as many as this process has threads, with one each, or as there are GPUs; in the
    notebook's protocol, and on other devices, one.
    """
    asked = settings.sweep.processes
    if asked != "auto":
        return asked
    if settings.protocol == "notebook":
        return 1
    device = choose_device(settings.device).type
    if device == "cuda":
        return len(list_gpus())
    return count_threads() if device == "cpu" else 1


def list_gpus() -> list[str]:
    """Return the GPUs that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]


def share_machine(settings: StudySettings, count: int) -> tuple[int, list[dict[str, str]]]:
    """Return the threads of each of ``count`` processes, and the variables of each: its GPU."""
    if choose_device(settings.device).type != "cuda":
        return 1, [{} for _ in range(count)]
    gpus = list_gpus()
    environments = [{VISIBLE: gpus[number % len(gpus)]} for number in range(count)]
    return max(1, count_threads() // count), environments


def fit_processes(settings: StudySettings, shape: Shape) -> int:
    """Return how many networks are trained at once: as many small ones as fit in the memory.

    A number that the user named stays.
    """
    count = count_processes(settings)
    named = settings.sweep.processes != "auto"
    if named or count < 2 or choose_device(settings.device).type != "cpu":
        return count
    return max(1, min(count, int(measure_room() / weigh_training(SMALLEST, shape))))


def find_gain(
    settings: StudySettings, shape: Shape, count: int, measure: Measure, measure_alone: Measure
) -> Measure:
    """Return a function that gives how many times as fast a network's trainings are in processes.

    1 where they are trained one after another with all cores: small gains are not taken. No more
    are reckoned with than fit in the memory. Where the user named a number of processes, every
    network is trained in them.

    Args:
        count: trainings at once, if they fit.
        measure: seconds that training on an image takes with all cores.
        measure_alone: the same with one core.
    """
    room = measure_room()
    on_gpu = choose_device(settings.device).type == "cuda"

    def gain(model: NetworkSettings) -> float:
        if count < 2:
            return 1.0
        if on_gpu:  # each has what this process has
            return float(min(count, len(list_gpus())))
        named = settings.sweep.processes != "auto"
        fit = min(count, int(room / weigh_training(model, shape)))
        if not named and fit < 2:
            return 1.0
        fit = max(1, fit)
        # more than that is other work on the machine, which several threads wait for longest
        found = min(fit, fit * measure(model) / measure_alone(model))
        return found if named or found >= LEAST_GAIN else 1.0

    return gain


def make_paces(
    settings: StudySettings, dataset: Dataset, split: Split, say: Callable[[str], None]
) -> Paces:
    """Return the paces of networks on the training images, each measured when it is asked for.

    ``say`` is told when the first is, for that takes a while.
    """
    images = len(split.train)
    announce = cache(lambda: say("measuring how fast this machine trains"))

    def look(model: NetworkSettings, recipe: TrainSettings | None = None) -> float:
        announce()
        recipe = recipe or plan_recipe(settings, "baseline", images, settings.seed, model)
        pace = measure_task(dataset, split.train, Task(model, recipe, settings.device))
        looks = (1 + recipe.mirrors) * len(split.val) / images
        return pace * (1 + LOOK * looks)

    measure = cache(look)
    alone = cache(lambda model: measure_with_one(lambda: look(model)))
    shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
    count = fit_processes(settings, shape)
    return Paces(measure, find_gain(settings, shape, count, measure, alone), count, measure)


def measure_with_one(measure: Callable[[], float]) -> float:
    """Return what is measured while this process computes with one thread."""
    with use_threads(1):
        return measure()
