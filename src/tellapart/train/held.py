"""Images kept on a GPU for as long as a network is trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tellapart.data.dataset import Dataset, Indices, Pixels

ROOM = 0.25
"""The share of a GPU's free memory that images may take."""


class HeldSource:
    """Images on a device, (n, height, width, channels) uint8."""

    streamed = False

    def __init__(self, pixels: Pixels, device: torch.device) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)

    def read(self, indices: Indices, size: int | None = None) -> Any:
        """Return images as a tensor on the device; `prepare_batch` takes it as it takes arrays."""
        return self.pixels[torch.from_numpy(indices).to(self.pixels.device)]


def hold_images(dataset: Dataset, device: torch.device) -> Dataset:
    """Return the dataset with its images on the GPU, where all of them take little of its memory.

    Each batch is then gathered there, and nothing but row numbers travels. On other devices, and
    where images are decoded at each read, the dataset itself is returned.
    """
    if device.type != "cuda" or dataset.source.streamed:
        return dataset
    free, _ = torch.cuda.mem_get_info(device)
    if len(dataset) * dataset.channels * dataset.image_size**2 > ROOM * free:
        return dataset
    return place_images(dataset, device)


def place_images(dataset: Dataset, device: torch.device) -> Dataset:
    """Return the dataset with all its images on a device."""
    pixels = dataset.source.read(np.arange(len(dataset)))
    return replace(dataset, source=HeldSource(pixels, device))
