"""Forward and backward passes of a GPU, recorded once and replayed as a whole (CUDA graphs).

A small network's operations end sooner than the processor can launch the next.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import torch
from torch import nn

from tellapart.device import Precision, release_memory

Pass = Callable[[torch.Tensor], torch.Tensor]

MOST = 2
"""Shapes that are recorded: even batches differ by one image at most, so there are two."""


class Replay:
    """What a network in training gives for a batch; on a GPU the pass is recorded and replayed.

    Weights must stay where they are in memory, and a second backward pass must not be added to a
    gradient that is still there. ``seconds`` is what the recording took.
    """

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        self.network, self.precision = network, precision
        self.seconds = 0.0
        self._recorded: dict[torch.Size, Pass] = {}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if images.device.type == "cuda" and images.shape not in self._recorded:
            if len(self._recorded) == MOST:
                return cast("torch.Tensor", self.network(images))
            self._recorded[images.shape] = self.record(images)
        return self._recorded.get(images.shape, self.network)(images)

    def record(self, images: torch.Tensor) -> Pass:
        """Return the recorded pass for batches of this shape, or the network where none can be."""
        start = time.perf_counter()
        release_memory()  # recorded passes before this one are in cycles of references
        buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        kind = images.device.type
        reduced = self.precision == "bfloat16"
        found: Pass = self.network
        # weights were made on the usual stream, and are recorded, and used, on another: as meant
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        # an operation that cannot be recorded, or too little memory: the network runs as it is
        with (
            suppress(RuntimeError),
            warnings.catch_warnings(),
            torch.autocast(kind, torch.bfloat16, enabled=reduced, cache_enabled=False),
        ):
            warnings.simplefilter("ignore")  # of the first backward pass, which makes its context
            # in a module of its own, so that recording leaves the network's methods alone
            body, sample = nn.Sequential(self.network), (images.clone(),)
            graphed = torch.cuda.make_graphed_callables(body, sample, allow_unused_input=True)
            found = cast("Pass", graphed)
        with torch.no_grad():
            for buffer, before in buffers:  # recording runs the network, and norms count it
                buffer.copy_(before)
        self.seconds += time.perf_counter() - start
        return found
