"""What is trained: a network with its optimiser and, beside it, the average of its weights."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.data.loader import cut_epoch, shuffle_order
from tellapart.data.tone import PLAIN
from tellapart.device import (
    DeviceName,
    Precision,
    choose_device,
    choose_precision,
    count_threads,
    prepare_process,
)
from tellapart.metrics.scores import find_score
from tellapart.models import NetworkSettings, Shape, make_model
from tellapart.models.forward import (
    has_norm,
    limit_chunk,
    measure_outputs,
    measure_room,
    prepare_batch,
)
from tellapart.models.layers import adapt_model
from tellapart.models.tuned import TunedNetwork, TunedSettings
from tellapart.train.optim import make_optimizer
from tellapart.train.replay import Replay

ADAPT_IMAGES = 2000
"""Images that a network may look at before it is trained."""

HELD_SHARE = 0.25
"""The share of a GPU's free memory that images may take."""

SMALL_BYTES = 1_000_000
"""Outputs of all layers for one batch, at two bytes a number, up to which one thread is enough.

Below it two were measured to gain nothing, and to lose where the machine has other work.
"""


@dataclass(frozen=True)
class Task:
    """One training: the network, the recipe, the device, and whether weights are kept.

    ``start`` makes the network with its first weights, which ``key`` names; fresh ones unless told.
    ``keep`` is ``both`` (best and last), or ``best`` where many trainings share a disk. A
    checkpoint to go on from is written about ``every`` so many seconds, and removed at the end.
    ``metric`` is the score on val that the best epoch is chosen by.

    Raises:
        SettingError: no such metric.
    """

    model: NetworkSettings
    recipe: TrainSettings
    device: DeviceName = "auto"
    keep: Literal["both", "best"] = "both"
    every: float = 30.0
    precision: Precision | Literal["auto"] = "auto"
    start: Callable[[], nn.Module] | None = None
    key: str = ""
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        find_score(self.metric)


@dataclass
class Learner:
    """A network in training.

    ``average`` is None where the weights of the last step are those that count; else it goes over
    ``span`` steps. ``chunk`` images go through at once; a batch that is one chunk goes through
    ``replay``. It learns with ``threads``.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    chunk: int
    threads: int
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

        It is exponential, over ``span`` steps; the first steps count for less, so that what it
        began with is soon forgotten.
        """
        if self.average is not None:
            decay = min(1 - 1 / self.span, step / (step + 9)) if self.span > 1 else 0.0
            lean_average(self.average, self.network, decay)


def make_learner(dataset: Dataset, rows: Indices, task: Task) -> Learner:
    """Return a network that is ready to be trained on these rows; it may look at some before."""
    recipe, device = task.recipe, choose_device(task.device)
    prepare_process(recipe.seed)
    shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
    network = task.start() if task.start else make_model(task.model, shape)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    if not task.start:
        seen = np.sort(rows[shuffle_order(len(rows), recipe.seed, 0)][:ADAPT_IMAGES])
        adapt_model(network, lambda: prepare_batch(dataset.source.read(seen), device))
    outputs = measure_outputs(network, dataset, device)
    precision = choose_precision(device) if task.precision == "auto" else task.precision
    layers = None
    if isinstance(network, TunedNetwork) and isinstance(task.model, TunedSettings):
        layers = network.set_rates(task.model)
        if outputs > measure_room(device):
            network.save_memory()
    optimizer = make_optimizer(network, recipe, precision, layers)
    chunk = limit_chunk(network, dataset, device)
    if has_norm(network):
        chunk = recipe.batch_size  # its statistics are those of the whole batch
    steps = recipe.epochs * (len(cut_epoch(len(rows), recipe.batch_size)) - 1)
    small = device.type == "cpu" and recipe.batch_size * outputs <= SMALL_BYTES
    learner = Learner(network, optimizer, precision, chunk, 1 if small else count_threads())
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


class HeldSource:
    """Images on a device, (n, height, width, channels) uint8."""

    streamed, tone = False, PLAIN

    def __init__(self, pixels: Pixels, device: torch.device) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)

    def read(self, indices: Indices, size: int | None = None) -> Any:
        return self.pixels[torch.from_numpy(indices).to(self.pixels.device)]


def hold_images(dataset: Dataset, device: torch.device) -> Dataset:
    """Return the dataset with its images on the GPU, where all of them take little of its memory.

    Else, and where images are decoded at each read, the dataset itself is returned.
    """
    if device.type != "cuda" or dataset.source.streamed:
        return dataset
    free, _ = torch.cuda.mem_get_info(device)
    if len(dataset) * dataset.channels * dataset.image_size**2 > HELD_SHARE * free:
        return dataset
    return place_images(dataset, device)


def place_images(dataset: Dataset, device: torch.device) -> Dataset:
    """Return the dataset with all its images on a device."""
    pixels = dataset.source.read(np.arange(len(dataset)))
    return replace(dataset, source=HeldSource(pixels, device))
