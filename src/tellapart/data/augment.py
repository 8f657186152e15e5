"""Augmentation of whole batches, a pure function of seed, epoch and the image's row.

What happens to an image in an epoch does not depend on the batch it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tellapart.config import AugmentName
from tellapart.data.dataset import Indices, Pixels

_WORD = 2**64 - 1
_STREAM = 1  # the order of images is drawn from stream 0 of the same key


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What one epoch does to every row of a dataset.

    Attributes:
        flips: (total,) bool, or None for no flips.
        shifts: (total, 2) int64 in [-reach, reach]: pixels down and right; None for none.
        reach: the longest shift, in pixels.
    """

    flips: NDArray[np.bool_] | None
    shifts: NDArray[np.int64] | None
    reach: int

    def apply(self, pixels: Pixels, rows: Indices) -> Pixels:
        """Return augmented images, (k, height, width, channels) uint8; the input is kept.

        Args:
            pixels: (k, height, width, channels) uint8.
            rows: the dataset row of each image, (k,) int64.
        """
        if self.flips is not None:
            pixels = flip_images(pixels, self.flips[rows])
        if self.shifts is not None:
            pixels = shift_images(pixels, self.shifts[rows], self.reach)
        return pixels


def draw_augmentation(
    name: AugmentName, total: int, image_size: int, seed: int, epoch: int
) -> Augmentation:
    """Draw one epoch's augmentation for all ``total`` rows of a dataset.

    ``shift`` moves an image by up to an eighth of its side (at least 1 px) each way, with
    reflected borders; ``flip-shift`` also mirrors it left to right, every second time.
    """
    reach = max(1, image_size // 8)
    if name == "none":
        return Augmentation(None, None, reach)
    key = np.array([seed & _WORD, epoch & _WORD], np.uint64)
    generator = np.random.Generator(np.random.Philox(counter=[0, 0, 0, _STREAM], key=key))
    flips = generator.random(total) < 0.5
    shifts = generator.integers(-reach, reach, size=(total, 2), endpoint=True)
    return Augmentation(flips if name == "flip-shift" else None, shifts, reach)


def flip_images(pixels: Pixels, flips: NDArray[np.bool_]) -> Pixels:
    """Mirror the chosen images left to right: (k, h, w, c) uint8 and (k,) bool."""
    flipped = pixels.copy()
    flipped[flips] = pixels[flips][:, :, ::-1]
    return flipped


def shift_images(pixels: Pixels, shifts: NDArray[np.int64], reach: int) -> Pixels:
    """Move each image by (down, right) pixels within ``reach``, borders reflected.

    Rows of pixels are treated as runs of bytes, so that one strided copy moves the batch.
    """
    count, height, width, channels = pixels.shape
    border = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(pixels, border, mode="reflect").reshape(count, height + 2 * reach, -1)
    windows = sliding_window_view(padded, (height, width * channels), axis=(1, 2))
    down, right = reach - shifts[:, 0], (reach - shifts[:, 1]) * channels
    moved: Pixels = windows[np.arange(count), down, right]
    return moved.reshape(pixels.shape)
