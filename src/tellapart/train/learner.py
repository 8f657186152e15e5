"""What is trained: a network with its optimiser and, beside it, the average of its weights."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import cut_epoch, shuffle_order
from tellapart.device import DeviceName, Precision, choose_device, choose_precision, prepare_process
from tellapart.models import Shape, adapt_model, make_model
from tellapart.models.forward import has_norm, limit_chunk, prepare_batch
from tellapart.train.optim import make_optimizer
from tellapart.train.replay import Replay

ADAPT_IMAGES = 2000
"""Images that a network may look at before it is trained."""


@dataclass(frozen=True)
class Task:
    """One training: the network, the recipe, the device, and whether weights are kept.

    ``keep`` is ``both`` (best and last), or ``best`` where many trainings share a disk. A
    checkpoint to go on from is written about ``every`` so many seconds, and removed at the end.
    """

    model: ModelSettings
    recipe: TrainSettings
    device: DeviceName = "auto"
    keep: Literal["both", "best"] = "both"
    every: float = 30.0
    precision: Precision | Literal["auto"] = "auto"

    def choose_precision(self) -> Precision:
        """Return the number format; ``auto`` is the best that the device has."""
        if self.precision == "auto":
            return choose_precision(choose_device(self.device))
        return self.precision


@dataclass
class Learner:
    """A network in training.

    ``average`` is None where the weights of the last step are those that count; else it goes over
    ``span`` steps. ``chunk`` images go through at once; a batch that is one chunk goes through
    ``replay``.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    chunk: int
    average: nn.Module | None = None
    span: float = 0.0

    def __post_init__(self) -> None:
        self.replay = Replay(self.network, self.precision)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def kept(self) -> nn.Module:
        """The network that is evaluated and kept: averaged, or as its last step left it."""
        return self.network if self.average is None else self.average

    def advance_average(self, step: int) -> None:
        """Take the weights after so many steps into the average.

        It is exponential, over ``span`` steps; the first steps count for less than that would
        have them, so that what the training began with is soon forgotten.
        """
        if self.average is not None:
            decay = min(1 - 1 / self.span, step / (step + 9)) if self.span > 1 else 0.0
            lean_average(self.average, self.network, decay)


def make_learner(dataset: Dataset, rows: Indices, task: Task) -> Learner:
    """Return a network that is ready to be trained.

    Args:
        rows: training images; the network may look at some before it is trained.
    """
    model, recipe, device = task.model, task.recipe, choose_device(task.device)
    prepare_process(recipe.seed)
    shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
    network = make_model(model, shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    seen = np.sort(rows[shuffle_order(len(rows), recipe.seed, 0)][:ADAPT_IMAGES])
    adapt_model(network, lambda: prepare_batch(dataset.source.read(seen), device))
    precision = task.choose_precision()
    optimizer = make_optimizer(network, recipe, precision)
    chunk = limit_chunk(network, dataset, device)
    if has_norm(network):
        chunk = recipe.batch_size  # its statistics are those of the whole batch
    steps = recipe.epochs * (len(cut_epoch(len(rows), recipe.batch_size)) - 1)
    learner = Learner(network, optimizer, precision, chunk)
    if recipe.averaging:
        learner.average, learner.span = deepcopy(network), recipe.averaging * steps
    return learner


def lean_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights and running statistics ``1 - decay`` of the way to a network's."""
    found = network.state_dict()
    for name, own in average.state_dict().items():
        if own.is_floating_point():
            own.lerp_(found[name], 1 - decay)
        else:  # a counter of batches
            own.copy_(found[name])
