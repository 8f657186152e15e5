"""How fast this machine trains a network: measured on a few steps of the real thing."""

from __future__ import annotations

import time

import torch
from torch import nn

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import Dataset, Indices
from tellapart.device import DeviceName, release_memory
from tellapart.stop import check_stop
from tellapart.train.loop import Pace, make_training, train_epoch
from tellapart.train.progress import start_tally

LEAST_SECONDS = 0.2


def measure_pace(
    dataset: Dataset,
    rows: Indices,
    model: ModelSettings,
    recipe: TrainSettings,
    device: DeviceName = "auto",
) -> float:
    """Return the seconds that training on one image takes.

    The first step, which pays for memory and for choosing kernels, is not counted. Rows are
    training images; what is trained is thrown away.
    """
    network, optimizer, precision, chunk = make_training(dataset, model, recipe, device)
    pace = Pace(recipe, 0, precision, chunk)
    batch = recipe.batch_size
    _time(network, optimizer, dataset, rows[:batch], pace)
    steps = 1
    while True:
        some = rows[: steps * batch]
        seconds = _time(network, optimizer, dataset, some, pace)
        if seconds >= LEAST_SECONDS or len(some) == len(rows):
            del network, optimizer
            release_memory()
            return seconds / len(some)
        steps *= 4


def _time(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    rows: Indices,
    pace: Pace,
) -> float:
    start = time.perf_counter()
    tally = start_tally(next(network.parameters()).device)
    for _ in train_epoch(network, optimizer, dataset, rows, pace, tally):
        check_stop()
    tally.loss.item()  # until then a GPU may still be at work
    return time.perf_counter() - start
