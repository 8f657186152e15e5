"""What augmentation does to each image: drawn as a pure function of seed, epoch and dataset row.

Only the draws are here; ``train/augment.py`` applies them. Every operation draws from a stream of
its own, and a row always takes the same place in a stream, so that what happens to an image
depends neither on its batch, nor on what was drawn before, nor on the other operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.config import list_operations
from tellapart.data.dataset import Indices

Floats = NDArray[np.float64]


Draw = Callable[[str, int, int], Floats]
"""Gives so many random numbers of a stream in an epoch, (numbers, total) in [0, 1)."""

_NAMES = "flip shift rotation zoom cutout colour mixup cutmix partner"
STREAMS = {name: number for number, name in enumerate(_NAMES.split(), 1)}
"""Each operation's stream of random numbers; stream 0 of the same key is the order of images."""

LONGEST_SHIFT = 1 / 8
"""The longest shift, as a share of the side."""
WIDEST_ANGLE = math.radians(15)
LARGEST_ZOOM = 1.2
"""Zooms are between its inverse and it."""
HOLE = 1 / 2
"""The side of cutout's square, as a share of the image's."""
STRONGEST_TINT = 0.2
"""Brightness, contrast and saturation are multiplied by 1 plus or minus as much."""

_WORD = 2**64 - 1


@dataclass(frozen=True, eq=False)
class Mix:
    """What an epoch mixes into each row: a box of its partner, more or less opaque."""

    partners: Indices  # (total,) dataset rows, all among the training rows
    boxes: Indices  # (total, 4) pixels: top, left, bottom, right, the ends excluded
    opacities: Floats  # (total,) in [0, 1]; 0 for rows that stay as they are
    shares: (
        Floats  # (total,) in [0, 1], the weight of the row's own label; the partner has the rest
    )


@dataclass(frozen=True, eq=False)
class Draws:
    """What one epoch does to every row of a dataset; None where an operation is not named."""

    size: int  # side of the square images, in pixels
    flips: NDArray[np.bool_] | None = None  # (total,) mirrored left to right
    shifts: Indices | None = None  # (total, 2) pixels down and right
    angles: Floats | None = None  # (total,) radians, clockwise
    zooms: Floats | None = None  # (total,) factors; above 1 enlarges
    holes: Indices | None = None  # (total, 4) the box that cutout fills, as in Mix
    tints: Floats | None = None  # (total, 3) factors of brightness, contrast and saturation
    mix: Mix | None = None  # what mixup and cutmix do


def draw_augmentation(
    augment: str, total: int, rows: Indices, size: int, seed: int, epoch: int
) -> Draws:
    """Draw one epoch's augmentation for all ``total`` rows of a dataset.

    - ``flip`` mirrors a random half of the images in even epochs and the other half in odd ones,
      so that two successive epochs show both mirrors of each (the alternating flip of Jordan 2024,
      "94% on CIFAR-10 in 3.29 seconds on a single GPU").
    - ``shift``, ``rotation``, ``zoom`` and ``colour`` change by as much as the constants above say.
    - ``cutout`` fills a square, centred anywhere and clipped at the borders (DeVries and Taylor
      2017, "Improved regularization of convolutional neural networks with cutout").
    - ``mixup`` blends with a partner in shares drawn from Beta(1, 1) (Zhang et al. 2018, "mixup:
      beyond empirical risk minimization"); ``cutmix`` pastes a box of a partner whose area before
      clipping is so drawn (Yun et al. 2019, "CutMix: regularization strategy to train strong
      classifiers with localizable features"). Each acts on its half of the rows, drawn anew each
      epoch: with one of them, half of the rows stay whole, as in CutMix's own recipe for CIFAR.

    Args:
        augment: a preset or operations, as in ``TrainSettings.augment``.
        rows: the training rows, (n,) int64: partners are among them.
        size: side of the square images, in pixels.
        epoch: counted from 0.

    Raises:
        SettingError: an operation that is not known.
    """

    def draw(stream: str, numbers: int, epoch: int) -> Floats:  # a row's numbers lie together
        key = np.array([seed & _WORD, epoch & _WORD], np.uint64)
        philox = np.random.Philox(counter=[0, 0, 0, STREAMS[stream]], key=key)
        return np.random.Generator(philox).random((total, numbers)).T

    return draw_operations(list_operations(augment), rows, size, draw, epoch)


def draw_operations(
    named: Sequence[str], rows: Indices, size: int, draw: Draw, epoch: int
) -> Draws:
    """Make draws of the operations named from random numbers, as `draw_augmentation` does."""
    flips = shifts = angles = zooms = holes = tints = mix = None
    if "flip" in named:
        flips = (draw("flip", 1, 0)[0] < 0.5) ^ (epoch % 2 == 1)
    if "shift" in named:
        reach = min(max(1, int(size * LONGEST_SHIFT)), size - 1)
        shifts = (draw("shift", 2, epoch).T * (2 * reach + 1)).astype(np.int64) - reach
    if "rotation" in named:
        angles = WIDEST_ANGLE * (2 * draw("rotation", 1, epoch)[0] - 1)
    if "zoom" in named:
        zooms = LARGEST_ZOOM ** (2 * draw("zoom", 1, epoch)[0] - 1)
    if "cutout" in named:
        centres = draw("cutout", 2, epoch)
        side = np.full(centres.shape[1], max(1, int(size * HOLE)))
        holes = place_boxes(centres, side, size)
    if "colour" in named:
        tints = 1 + STRONGEST_TINT * (2 * draw("colour", 3, epoch).T - 1)
    if "mixup" in named or "cutmix" in named:
        coin, place = draw("partner", 2, epoch)
        partners = rows[(place * len(rows)).astype(np.int64)]
        boxes = np.tile(np.array([0, 0, size, size]), (len(coin), 1))
        opacities = np.zeros(len(coin))
        if "mixup" in named:
            opacities = np.where(coin < 0.5, draw("mixup", 1, epoch)[0], opacities)
        if "cutmix" in named:
            down, right, area = draw("cutmix", 3, epoch)
            side = np.rint(size * np.sqrt(area)).astype(np.int64)
            pasted = coin >= 0.5
            boxes[pasted] = place_boxes(np.stack((down, right)), side, size)[pasted]
            opacities = np.where(pasted, 1.0, opacities)
        shares = 1 - opacities * measure_boxes(boxes) / size**2
        mix = Mix(partners, boxes, opacities, shares)
    return Draws(size, flips, shifts, angles, zooms, holes, tints, mix)


def place_boxes(centres: Floats, sides: Indices, size: int) -> Indices:
    """Return squares, (n, 4) as in :class:`Mix`, clipped at the borders of the image.

    Their centres are (2, n) in [0, 1), how far down and right; their sides (n,) int64 pixels.

    >>> place_boxes(np.array([[0.5, 0.0], [0.5, 0.9]]), np.array([4, 4]), 8).tolist()
    [[2, 2, 6, 6], [0, 5, 2, 8]]
    """
    first = (centres * size).astype(np.int64) - sides // 2
    corners = np.concatenate((first, first + sides))
    return np.clip(corners, 0, size).T


def measure_boxes(boxes: Indices) -> Indices:
    """Return the areas of (n, 4) boxes, (n,) pixels."""
    top, left, bottom, right = boxes.T
    return np.asarray((bottom - top) * (right - left), np.int64)
