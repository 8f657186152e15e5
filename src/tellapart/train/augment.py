"""Augmentation applied: whole batches on the device, in channels-last from end to end.

What is done to each image was drawn in ``data/augment.py``. No function here draws, loops over
images, or lets one image of a batch have a say in another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tellapart.data.augment import Draws
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import Batch
from tellapart.models.forward import prepare_batch

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to the grey that the eye sees (ITU-R BT.601)."""
FILL = 0.5
"""What cutout fills a square with: the middle of the range."""


def make_examples(
    dataset: Dataset, draws: Draws, batch: Batch, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch as training sees it: augmented images, and what they should be classified as.

    The partner of a row that is mixed is augmented as it is in the epoch itself.

    Returns:
        images (n, c, h, w) float32 in [0, 1], channels-last; and labels (n,) int64, or, where the
        epoch mixes, the weights of the classes, (n, classes) float32. The cross-entropy to those
        is ``share * CE(own label) + (1 - share) * CE(partner's label)``.
    """
    pixels, labels, rows = batch
    images = augment_images(prepare_batch(pixels, device), draws, rows)
    truth = torch.from_numpy(labels).to(device)
    mix = draws.mix
    if mix is None:
        return images, truth
    partners = mix.partners[rows]
    mixed = np.flatnonzero(mix.shares[rows] < 1)
    if len(mixed):
        others = prepare_batch(dataset.source.read(partners[mixed]), device)
        others = augment_images(others, draws, partners[mixed])
        where = _send(mixed, images)
        boxes, opacities = mix.boxes[rows[mixed]], mix.opacities[rows[mixed]]
        own = images[where].contiguous(memory_format=torch.channels_last)
        painted = paint_boxes(own, others, boxes, opacities)
        view_rows(images).index_copy_(0, where, view_rows(painted))
    shares = _send(mix.shares[rows].astype(np.float32), images)
    partner_truth = _send(dataset.labels[partners], images)
    return images, blend_labels(truth, partner_truth, shares, len(dataset.classes))


def augment_images(images: torch.Tensor, draws: Draws, rows: Indices) -> torch.Tensor:
    """Do to (n, c, h, w) float32 images all that was drawn for their (n,) rows, but for mixing.

    They are in [0, 1], channels-last, and kept as they are; those returned are of the same kind, or
    the input itself where nothing was drawn.
    """
    assert draws.size == images.shape[2] == images.shape[3], (draws.size, images.shape)
    if draws.flips is not None or draws.shifts is not None:
        images = move_images(images, _pick(draws.flips, rows), _pick(draws.shifts, rows))
    if draws.angles is not None or draws.zooms is not None:
        images = turn_images(images, _pick(draws.angles, rows), _pick(draws.zooms, rows))
    if draws.tints is not None:
        images = tint_images(images, draws.tints[rows])
    if draws.holes is not None:
        fill = images.new_full((), FILL)
        images = paint_boxes(images, fill, draws.holes[rows], np.ones(len(rows)))
    return images


def move_images(
    images: torch.Tensor, flips: NDArray[np.bool_] | None, shifts: Indices | None
) -> torch.Tensor:
    """Mirror (n, c, h, w) images left to right, then shift them, borders reflected; exact.

    Args:
        flips: (n,) bool; None for none.
        shifts: (n, 2) int64, pixels down and right, shorter than the side; None for none.
    """
    count, channels, height, width = images.shape
    y = torch.arange(height, device=images.device, dtype=torch.int32)
    x = torch.arange(width, device=images.device, dtype=torch.int32)[None]
    first = torch.arange(count, device=images.device, dtype=torch.int32)[:, None] * height
    if shifts is not None:
        steps = _send(shifts.astype(np.int32), images)
        y, x = (_reflect(y - steps[:, :1], height), _reflect(x - steps[:, 1:], width))
    if flips is not None:
        x = torch.where(_send(flips, images)[:, None], width - 1 - x, x)
    at = ((first + y) * width)[:, :, None] + x[:, None, :]
    flat = images.permute(0, 2, 3, 1).reshape(-1, channels)
    moved = flat.index_select(0, at.view(-1)).view(count, height, width, channels)
    return moved.permute(0, 3, 1, 2)


def turn_images(
    images: torch.Tensor, angles: NDArray[Any] | None, zooms: NDArray[Any] | None
) -> torch.Tensor:
    """Rotate and scale (n, c, h, w) images about their centres, by one bilinear look-up.

    What lies beyond a border is its reflection about the centres of the border's pixels.

    Args:
        angles: (n,) radians, clockwise; None for none.
        zooms: (n,) factors above 0, above 1 enlarges; None for none.
    """
    count, _, height, width = images.shape
    turned = np.zeros(count) if angles is None else angles
    scale = np.ones(count) if zooms is None else zooms
    cos, sin = np.cos(turned) / scale, np.sin(turned) / scale
    aspect = max(height - 1, 1) / max(width - 1, 1)
    # where each pixel comes from, in halves of the side: (n, 2) for a step right, and one down
    right = _send(np.stack((cos, -sin / aspect), 1).astype(np.float32), images)
    down = _send(np.stack((sin * aspect, cos), 1).astype(np.float32), images)
    x = torch.linspace(-1, 1, width, device=images.device)
    y = torch.linspace(-1, 1, height, device=images.device)
    grid = images.new_empty((count, height, width, 2))
    for axis in (0, 1):
        along, across = right[:, axis, None] * x, down[:, axis, None] * y
        torch.add(along[:, None, :], across[:, :, None], out=grid[..., axis])
    turned_images = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=True
    )
    return turned_images.contiguous(memory_format=torch.channels_last)


def tint_images(images: torch.Tensor, tints: NDArray[Any]) -> torch.Tensor:
    """Scale brightness, then contrast about the mean grey, then saturation about each grey.

    The three are one linear map of each image, clipped to [0, 1] once. Images with other than
    three channels have no saturation. ``tints`` are (n, 3) factors; 1 changes nothing.
    """
    channels = images.shape[1]
    factors = _send(tints.astype(np.float32), images)[:, :, None, None, None]
    bright, contrast, saturation = factors.unbind(1)
    gain = bright * contrast
    if channels != 3:
        level = images.mean((1, 2, 3), keepdim=True) * (bright - gain)
        return images.mul(gain).add_(level).clamp_(0, 1)
    flat = images.permute(0, 2, 3, 1).reshape(-1, channels)
    grey = torch.mv(flat, images.new_tensor(LUMA)).view(-1, 1, *images.shape[2:])
    level = grey.mean((1, 2, 3), keepdim=True) * (bright - gain)
    grey.mul_(gain - gain * saturation).add_(level)
    return images.mul(gain * saturation).add_(grey).clamp_(0, 1)


def paint_boxes(
    images: torch.Tensor, paint: torch.Tensor, boxes: Indices, opacities: NDArray[Any]
) -> torch.Tensor:
    """Paint a box of each image, at an opacity of 0 (nothing seen) to 1 (nothing left), exact.

    Args:
        images: (n, c, h, w) float32, channels-last.
        paint: what is painted: as ``images``, or a number, ().
        boxes: (n, 4) int64: ``top, left, bottom, right`` in pixels, the ends excluded.
        opacities: (n,) in [0, 1].
    """
    count, channels, height, width = images.shape
    top, left, bottom, right = _send(boxes, images)[:, :, None].unbind(1)
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    rows = ((y >= top) & (y < bottom)) * _send(opacities.astype(np.float32), images)[:, None]
    columns = ((x >= left) & (x < right)).to(images.dtype).repeat_interleave(channels, 1)
    covered = rows[:, :, None] * columns[:, None, :]
    onto = view_rows(images)
    painted = torch.lerp(onto, view_rows(paint) if paint.ndim else paint, covered)
    return painted.view(count, height, width, channels).permute(0, 3, 1, 2)


def blend_labels(
    labels: torch.Tensor, partners: torch.Tensor, shares: torch.Tensor, classes: int
) -> torch.Tensor:
    """Return the weights of the classes, (n, classes) float32, each row's adding up to 1.

    ``labels`` (n,) have the weight ``shares`` (n,) in [0, 1], ``partners`` (n,) the rest.
    """
    own, other = (functional.one_hot(part, classes) for part in (labels, partners))
    return torch.lerp(other.to(shares.dtype), own.to(shares.dtype), shares[:, None])


def count_hits(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Count the images that are right; of mixed ones, the class with most weight is.

    ``logits`` are (n, classes), ``truth`` (n,) int64 labels or (n, classes) weights.
    """
    labels = truth.argmax(1) if truth.ndim == 2 else truth
    return (logits.argmax(1) == labels).sum()


def view_rows(images: torch.Tensor) -> torch.Tensor:
    """Return (n, c, h, w) channels-last images as (n, h, w * c): rows of numbers in memory."""
    count, channels, height, width = images.shape
    return images.permute(0, 2, 3, 1).view(count, height, width * channels)


def _reflect(places: torch.Tensor, side: int) -> torch.Tensor:
    """Fold places beyond a border back: -1 is 1, ``side`` is ``side - 2``."""
    return (side - 1) - ((side - 1) - places.abs()).abs()


def _pick(drawn: NDArray[Any] | None, rows: Indices) -> NDArray[Any] | None:
    return None if drawn is None else drawn[rows]


def _send(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device)
