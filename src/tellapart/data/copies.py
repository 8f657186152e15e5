"""Copies of one picture that are not equal to the byte: re-encoded, resized, mirrored, brighter.

Each image is looked at in 32 pixels. Its nearest neighbours, and those of its mirror image, are
found on a signature of 8 x 8 means of each colour, without the colour's mean and the whole's scale,
so that brightness and contrast have no say. What is near is compared pixel by pixel, shifted by up
to a pixel: the correlation has to be at least ``ALIKE``. Both are a little blurred, as encoding and
resizing do, and without their local means, for backgrounds alone are much alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.data.dataset import Copy, Dataset, Pixels
from tellapart.errors import WorkspaceError
from tellapart.records import Record
from tellapart.stop import check_stop
from tellapart.workspace import locate_cache, read_record, write_json

SIDE, GRID = 32, 8
SMALLEST = 16
"""Pixels of a side below which images are too coarse to tell a copy from what looks like it."""
NEIGHBOURS = 4
NEAR = 0.9
"""The correlation of signatures from which on images are compared pixel by pixel."""
ALIKE = 0.95
FLAT = 4.0
"""Standard deviation of an image's shades below which it shows too little to be compared."""
BLOCK = 2048
MOST = 100_000
"""Images beyond which the time and memory that comparing takes would be too much."""
VERSION, KEPT = 1, 1000
"""What tells results of other code apart, and from how many images on they are kept."""
Numbers = NDArray[np.float32]


class _Found(Record):
    """What is kept of a search for copies."""

    copies: tuple[Copy, ...]


def recall_copies(dataset: Dataset) -> tuple[Copy, ...]:
    """Return pairs of images that show one picture; those of many images are kept in the cache."""
    if len(dataset) < KEPT:
        return find_copies(dataset)
    about = f"{VERSION} {dataset.image_size} {' '.join(dataset.hashes)}"
    digest = hashlib.blake2b(about.encode(), digest_size=12).hexdigest()
    path = locate_cache() / "copies" / f"{digest}.json"
    try:
        return read_record(path, _Found).copies
    except WorkspaceError:  # not there, or damaged
        found = find_copies(dataset)
    with suppress(WorkspaceError):  # a cache that cannot be written costs time alone
        write_json(path, _Found(copies=found).model_dump())
    return found


def is_comparable(dataset: Dataset) -> bool:
    """Tell whether near copies are looked for: images are not too small, and not too many."""
    return dataset.image_size >= SMALLEST and len(dataset) <= MOST


def find_copies(dataset: Dataset) -> tuple[Copy, ...]:
    """Return pairs of images that show one picture but are not equal to the byte.

    Of more than ``NEIGHBOURS`` copies of one, each is paired with the nearest. There are none where
    they are not looked for (`is_comparable`).
    """
    if len(dataset) < 2 or not is_comparable(dataset):
        return ()
    thumbs = read_thumbs(dataset)
    rich = np.flatnonzero(thumbs.reshape(len(thumbs), -1).std(1) >= FLAT)
    if len(rich) < 2:
        return ()
    return tuple(_compare(dataset, thumbs, _find_near(thumbs, rich)))


def read_thumbs(dataset: Dataset) -> Pixels:
    """Return all images in ``SIDE`` pixels, (n, 32, 32, channels) uint8."""
    thumbs = np.empty((len(dataset), SIDE, SIDE, dataset.channels), np.uint8)
    for first in range(0, len(dataset), BLOCK):
        check_stop()
        rows = np.arange(first, min(first + BLOCK, len(dataset)))
        size = SIDE if dataset.source.streamed else None
        thumbs[rows] = _shrink(dataset.source.read(rows, size))
    return thumbs


def _shrink(pixels: Pixels) -> Pixels:
    count, side, _, channels = pixels.shape
    if side == SIDE:
        return pixels
    if side % SIDE == 0:
        part = side // SIDE
        cut = pixels.reshape(count, SIDE, part, SIDE, part, channels)
        return np.asarray(np.rint(cut.mean((2, 4), dtype=np.float32)), np.uint8)
    made = np.empty((count, SIDE, SIDE, channels), np.uint8)
    for place, one in enumerate(pixels):
        image = Image.fromarray(one[..., 0] if channels == 1 else one)
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        made[place] = np.asarray(small).reshape(SIDE, SIDE, channels)
    return made


def _sign(thumbs: Pixels) -> Numbers:
    """Return the signature of each image, (n, 8 * 8 * channels), with mean 0 and length 1."""
    count, part = len(thumbs), SIDE // GRID
    cut = thumbs.reshape(count, GRID, part, GRID, part, -1)
    return _standardize(cut.mean((2, 4), dtype=np.float32))


def _find_near(thumbs: Pixels, rich: NDArray[np.int64]) -> set[tuple[int, int, bool]]:
    """Return (row, other row, whether mirrored) of images whose signatures are near."""
    from sklearn.neighbors import NearestNeighbors

    plain = _sign(thumbs[rich])
    finder = NearestNeighbors(
        n_neighbors=min(NEIGHBOURS, len(rich)), algorithm="brute", metric="sqeuclidean"
    ).fit(plain)
    near: set[tuple[int, int, bool]] = set()
    for mirrored in (False, True):
        asked = _sign(thumbs[rich][:, :, ::-1]) if mirrored else plain
        for first in range(0, len(rich), BLOCK):
            check_stop()
            distances, found = finder.kneighbors(asked[first : first + BLOCK])
            places, ranks = np.nonzero(1 - distances / 2 >= NEAR)  # of vectors of length 1
            pairs = np.sort(np.stack([rich[first + places], rich[found[places, ranks]]], 1), 1)
            near |= {(a, b, mirrored) for a, b in pairs.tolist() if a != b}
    return near


def _compare(dataset: Dataset, thumbs: Pixels, near: set[tuple[int, int, bool]]) -> Iterator[Copy]:
    """Yield those of near pairs that are one picture, the more alike way of two."""
    hashes = dataset.hashes
    asked = sorted(one for one in near if hashes[one[0]] != hashes[one[1]])
    best: dict[tuple[int, int], Copy] = {}
    for first in range(0, len(asked), BLOCK):
        check_stop()
        some = asked[first : first + BLOCK]
        a, b, mirrored = (np.array(part) for part in zip(*some, strict=True))
        second = thumbs[b]
        second[mirrored] = second[mirrored][:, :, ::-1]
        for place, alike in enumerate(correlate(thumbs[a], second).tolist()):
            one = Copy(*some[place][:2], alike, some[place][2])
            known = best.get((one.first, one.second))
            if alike >= ALIKE and (known is None or known.alike < alike):
                best[one.first, one.second] = one
    yield from best.values()


def correlate(first: NDArray[Any], second: NDArray[Any]) -> Numbers:
    """Return the highest correlation of (n, 32, 32, c) images over shifts of up to a pixel."""
    first, second = _sharpen(first), _sharpen(second)
    inner = _standardize(first[:, 1:-1, 1:-1])
    best = np.full(len(first), -1.0, np.float32)
    for down in range(3):
        for right in range(3):
            part = second[:, down : down + SIDE - 2, right : right + SIDE - 2]
            np.maximum(best, np.einsum("ij,ij->i", inner, _standardize(part)), out=best)
    return best


def _sharpen(pixels: NDArray[Any]) -> Numbers:
    """Return images a little blurred, less the means of 9 x 9 pixels."""
    from scipy import ndimage

    fine: Numbers = pixels.astype(np.float32)
    coarse = fine
    for axis in (1, 2):
        fine = ndimage.convolve1d(fine, (0.25, 0.5, 0.25), axis)
        coarse = ndimage.uniform_filter1d(coarse, 9, axis)
    detail: Numbers = fine - coarse
    return detail


def _standardize(pixels: Numbers) -> Numbers:
    """Return (n, values) of images with mean 0 in each colour, and length 1."""
    centred = pixels - pixels.mean((1, 2), keepdims=True)
    flat: Numbers = centred.reshape(len(pixels), -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat
