"""Copies of one picture that are not equal to the byte: re-encoded, resized, mirrored, brighter.

Each image is looked at in 32 pixels. Its nearest neighbours, and those of its mirror image, are
found on a signature of 8 x 8 means of each colour, without the colour's mean and the whole's scale,
so that brightness and contrast have no say. What is near is compared pixel by pixel, shifted by up
to a pixel: the correlation has to be at least ``ALIKE``. Both are a little blurred, as encoding and
resizing do (JPEG colours more than shades), and without their local means, for backgrounds alone
are much alike.
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
NEAR = 0.93
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
    return tuple(_compare(dataset, thumbs, _find_near(thumbs)))


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
        return np.asarray(np.rint(average_cells(pixels, SIDE)), np.uint8)
    made = np.empty((count, SIDE, SIDE, channels), np.uint8)
    for place, one in enumerate(pixels):
        image = Image.fromarray(one[..., 0] if channels == 1 else one)
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        made[place] = np.asarray(small).reshape(SIDE, SIDE, channels)
    return made


def average_cells(pixels: Pixels, grid: int) -> Numbers:
    """Return the means of (n, side, side, c) images in a grid of cells, (n, grid, grid, c)."""
    part = pixels.shape[1] // grid
    total = np.zeros((len(pixels), grid, grid, pixels.shape[3]), np.uint32)
    for down in range(part):
        for right in range(part):
            total += pixels[:, down::part, right::part]
    return np.asarray(total / part**2, np.float32)


def _sign(thumbs: Pixels) -> Numbers:
    """Return the signature of each image, (n, 8 * 8 * channels), with mean 0 and length 1.

    That of one whose shades hardly differ is 0: it is near to none.
    """
    found = np.empty((len(thumbs), GRID * GRID * thumbs.shape[3]), np.float32)
    for first in range(0, len(thumbs), BLOCK):
        some = thumbs[first : first + BLOCK]
        rich = some.reshape(len(some), -1).std(1, dtype=np.float32) >= FLAT
        found[first : first + BLOCK] = _standardize(average_cells(some, GRID))
        found[first : first + BLOCK][~rich] = 0.0
    return found


def _find_near(thumbs: Pixels) -> set[tuple[int, int, bool]]:
    """Return (row, later row, whether mirrored) of images whose signatures are near.

    Each is compared with those after it: for the earlier ones that was done before.
    """
    from sklearn.neighbors import NearestNeighbors

    plain, turned = _sign(thumbs), _sign(thumbs[:, :, ::-1])
    near: set[tuple[int, int, bool]] = set()
    for first in range(0, len(thumbs), BLOCK):
        check_stop()
        count = min(NEIGHBOURS, len(thumbs) - first)
        finder = NearestNeighbors(n_neighbors=count, algorithm="brute", metric="sqeuclidean")
        finder.fit(plain[first:])
        for mirrored, asked in ((False, plain), (True, turned)):
            distances, found = finder.kneighbors(asked[first : first + BLOCK])
            rows, ranks = np.nonzero(1 - distances / 2 >= NEAR)  # of vectors of length 1
            pairs = zip(rows.tolist(), found[rows, ranks].tolist(), strict=True)
            near |= {(first + min(a, b), first + max(a, b), mirrored) for a, b in pairs if a != b}
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
    """Return images a little blurred, their colours more than their shades, less means of 9 x 9."""
    from scipy import ndimage

    grey: Numbers = pixels.mean(3, keepdims=True, dtype=np.float32)
    colours: Numbers = pixels - grey
    coarse = grey
    for axis in (1, 2):
        grey = ndimage.convolve1d(grey, (0.25, 0.5, 0.25), axis)
        coarse = ndimage.uniform_filter1d(coarse, 9, axis)
        colours = ndimage.uniform_filter1d(colours, 5, axis)
    wide = colours
    for axis in (1, 2):
        wide = ndimage.uniform_filter1d(wide, 9, axis)
    detail: Numbers = grey - coarse + colours - wide
    return detail


def _standardize(pixels: Numbers) -> Numbers:
    """Return (n, values) of images with mean 0 in each colour, and length 1."""
    centred = pixels - pixels.mean((1, 2), keepdims=True)
    flat: Numbers = centred.reshape(len(pixels), -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat
