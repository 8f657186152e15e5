"""Views: an image as augmentation shows it once, so that its features can be kept.

What happens to an image follows from its content, the view's number and the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tellapart.config import list_operations
from tellapart.data.augment import STREAMS, Draws, Floats, draw_operations
from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.errors import SettingError
from tellapart.train.augment import augment_images

_WORD = 2**64 - 1
VIEWED = ("flip", "shift", "rotation", "zoom", "colour", "cutout")
"""What a view may do: what leaves an image its label."""


@dataclass(frozen=True)
class View:
    """One way of showing every image; ``number`` 0 shows it as it is."""

    number: int = 0
    augment: str = "none"
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.augment} {self.number} seed {self.seed}" if self.number else "plain"


PLAIN = View()


def list_views(count: int, augment: str, seed: int) -> tuple[View, ...]:
    """Return the plain view and ``count`` augmented ones.

    Raises:
        SettingError: an operation that changes the label of an image.

    >>> [view.name for view in list_views(1, "flip+shift", 0)]
    ['plain', 'flip+shift 1 seed 0']
    """
    operations = list_operations(augment)
    for name in operations:
        if name not in VIEWED:
            raise SettingError(
                f"views take what leaves an image its label ({', '.join(VIEWED)}), but got {name}"
            )
    if count and not operations:
        raise SettingError(f"--views {count} needs an augmentation, but got {augment!r}")
    return (PLAIN, *(View(number, augment, seed) for number in range(1, count + 1)))


def read_view(dataset: Dataset, rows: Indices, size: int, view: View) -> Pixels:
    """Return images as a view shows them, (k, h, w, channels) uint8.

    A source that decodes does so at a side of ``size``; one that holds pixels has its own.
    """
    pixels = dataset.source.read(rows, size)
    if not view.number:
        return pixels
    draws = _draw_view([dataset.hashes[row] for row in rows.tolist()], pixels.shape[1], view)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255
    images = images.contiguous(memory_format=torch.channels_last)
    images = augment_images(images, draws, np.arange(len(rows)))
    shown = (images.permute(0, 2, 3, 1) * 255).round_().clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(shown.numpy())


def _draw_view(hashes: Sequence[str], size: int, view: View) -> Draws:
    seeds = [int(name, 16) & _WORD for name in hashes]

    def draw(stream: str, numbers: int, epoch: int = view.number) -> Floats:
        """Return (numbers, images) in [0, 1), each image's from a stream of its own."""
        counter = [0, 0, epoch, STREAMS[stream]]
        found = np.empty((numbers, len(seeds)))
        for row, seed in enumerate(seeds):
            key = np.array([seed, view.seed & _WORD], np.uint64)
            philox = np.random.Philox(counter=counter, key=key)
            found[:, row] = np.random.Generator(philox).random(numbers)
        return found

    operations = list_operations(view.augment)
    return draw_operations(operations, np.arange(len(seeds)), size, draw, view.number)
