"""With what features are computed: a device, and no more memory than may be taken.

A backbone's need is estimated from the layer that needs most: an engine holds its input and output,
and what a shortcut keeps beside them. ``benchmarks/memory.py`` measures how near that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tellapart.device import (
    DeviceName,
    choose_device,
    count_cores,
    measure_free_memory,
    measure_tree_memory,
)
from tellapart.errors import BudgetError
from tellapart.models.backbone import Backbone
from tellapart.models.forward import send_blank

MOST = {"cpu": 8, "mps": 64, "cuda": 256}
"""Images in one call of an engine, at most, by the kind of device."""
LIVE = 1.5
"""What an engine holds at once, over the input and output of the layer that needs most."""
COPIES = 3
"""Times that an engine has the weights while it is made."""
ENGINE_BYTES = 180_000_000
"""What an engine takes aside from these."""


@dataclass(frozen=True)
class Resources:
    """A device, and the gigabytes that this process may take; None: what is free."""

    device: DeviceName = "auto"
    max_memory: float | None = None

    def measure_left(self) -> int:
        """Return the bytes that may still be taken, on a GPU of its own memory."""
        device = choose_device(self.device)
        if device.type == "cuda":
            free = int(torch.cuda.mem_get_info(device)[0])
            return free if self.max_memory is None else min(free, int(1e9 * self.max_memory))
        if self.max_memory is None:
            return measure_free_memory()
        return int(1e9 * self.max_memory) - measure_tree_memory()


@dataclass(frozen=True)
class Load:
    """Images in one call of an engine, and calls at once; None: as many as it likes."""

    batch: int
    streams: int | None = None


def choose_load(backbone: Backbone, resources: Resources) -> Load:
    """Return how many images an engine may take at once, so that memory suffices.

    Raises:
        BudgetError: it does not suffice for one image.
    """
    kind = choose_device(resources.device).type
    image = LIVE * measure_widest(backbone)
    fixed = ENGINE_BYTES + COPIES * 4 * backbone.parameters
    room = resources.measure_left() - fixed
    for streams, calls in ((None, count_cores() if kind == "cpu" else 1), (1, 1)):
        batch = min(MOST[kind], int(room // (calls * image)))
        if batch >= 1:
            return Load(batch, streams)
    missing = (image - room) / 1e9
    asked = resources.max_memory
    budget = "the free memory" if asked is None else f"--max-memory {asked:g} (GB)"
    raise BudgetError(
        f"{budget} is too little for one image of {backbone.name} at {backbone.image_size} px: "
        f"{missing:.2f} GB are missing; allow more, or take a lower --image-size or a smaller "
        "backbone"
    )


def fits_memory(backbone: Backbone, resources: Resources) -> bool:
    """Return whether memory suffices for one image at a time."""
    try:
        choose_load(backbone, resources)
    except BudgetError:
        return False
    return True


def measure_widest(backbone: Backbone) -> int:
    """Return the bytes that the input and output of a layer take at most, for a blank image."""
    sizes: list[int] = []

    def look(inputs: tuple[object, ...], output: object) -> None:
        both = [part for part in (*inputs, output) if isinstance(part, torch.Tensor)]
        sizes.append(4 * sum(part.numel() for part in both))

    network = backbone.network
    shape = (1, network.size, network.size, 3)
    send_blank(network, torch.zeros(shape, dtype=torch.uint8, device=network.mean.device), look)
    return max(sizes)
