"""How fast this machine trains a network: measured on a few steps of the real thing."""

from __future__ import annotations

import time

from tellapart.data.dataset import Dataset, Indices
from tellapart.device import release_memory, use_threads
from tellapart.stop import check_stop
from tellapart.train.learner import Learner, Task, hold_images, make_learner
from tellapart.train.loop import train_epoch
from tellapart.train.progress import start_tally

LEAST_SECONDS, ENOUGH_SECONDS = 0.05, 1.0
FEWEST, MOST = 3, 4
"""Measurements: one alone may fall on a moment in which something else was at work."""


def measure_task(dataset: Dataset, rows: Indices, task: Task) -> float:
    """Return the seconds that a training takes for one of its images, ``rows``.

    The first step, which pays for memory and for choosing kernels, is not counted, and of several
    measurements the fastest holds: other work on the machine only ever slows one.
    """
    learner = make_learner(dataset, rows, task)
    dataset = hold_images(dataset, learner.device)
    batch = task.recipe.batch_size
    steps, spent = 1, 0.0
    paces: list[float] = []
    with use_threads(learner.threads):
        _time(learner, dataset, rows[:batch], task)
        while len(paces) < FEWEST or (len(paces) < MOST and spent < ENOUGH_SECONDS):
            some = rows[: steps * batch]
            seconds = _time(learner, dataset, some, task)
            spent += seconds
            if seconds >= LEAST_SECONDS or len(some) == len(rows):
                paces.append(seconds / len(some))
            else:
                steps *= 4
    del learner
    release_memory()
    return min(paces)


def _time(learner: Learner, dataset: Dataset, rows: Indices, task: Task) -> float:
    start = time.perf_counter()
    tally = start_tally(learner.device)
    for _ in train_epoch(learner, dataset, rows, task.recipe, 0, tally):
        check_stop()
    tally.loss.item()  # until then a GPU may still be at work
    return time.perf_counter() - start
