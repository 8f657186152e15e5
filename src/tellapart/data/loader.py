"""Batches of a dataset, in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, zip_longest

import numpy as np

from tellapart.data.dataset import Dataset, Indices, Labels, Pixels

Batch = tuple[Pixels, Labels, Indices]

_WORD = 2**64 - 1


def shuffle_order(n: int, seed: int, epoch: int) -> Indices:
    """Return a permutation of ``range(n)``, the same for the same seed and epoch.

    Drawn from the counter-based generator Philox, keyed by both numbers: an epoch's order
    needs no earlier epoch, so nothing has to be restored when training goes on.
    """
    key = np.array([seed & _WORD, epoch & _WORD], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(n).astype(np.int64)


def cut_epoch(n: int, batch_size: int, even: bool = False) -> list[int]:
    """Return the bounds of batches of at most ``batch_size``: batch i is [bounds[i], bounds[i+1]).

    The last may be short; ``even`` makes all alike, to within one image, for what is measured on a
    batch as a whole (batch normalisation) is worth little on a very short one.

    >>> cut_epoch(9, 4), cut_epoch(9, 4, even=True)
    ([0, 4, 8, 9], [0, 3, 6, 9])
    """
    assert batch_size >= 1, batch_size
    steps = -(-n // batch_size)
    if even:
        return [step * n // steps for step in range(steps + 1)] if steps else [0]
    return [*range(0, n, batch_size), n] if n else [0]


def iterate_batches(
    dataset: Dataset, indices: Indices, batch_size: int, order: Indices | None = None
) -> Iterator[Batch]:
    """Yield (pixels, labels, rows) of (n,) rows of the dataset, as `read_batches` does.

    They are taken in ``order``, a permutation of ``range(n)``, if there is one.
    """
    ordered = indices if order is None else indices[order]
    bounds = cut_epoch(len(ordered), batch_size)
    return read_batches(dataset, [ordered[start:stop] for start, stop in pairwise(bounds)])


def read_batches(dataset: Dataset, parts: Sequence[Indices]) -> Iterator[Batch]:
    """Yield (pixels, labels, rows) of each part, an array of rows of the dataset, (k,) int64.

    Pixels are (k, height, width, channels) uint8, labels int64. Where images are decoded at each
    read, the next batch is read while one is used.
    """
    if not dataset.source.streamed:
        for rows in parts:
            yield dataset.source.read(rows), dataset.labels[rows], rows
        return
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(dataset.source.read, rows) for rows in parts[:1]]
        for rows, later in zip_longest(parts, parts[1:]):
            pixels = waiting.pop().result()
            if later is not None:
                waiting.append(pool.submit(dataset.source.read, later))
            yield pixels, dataset.labels[rows], rows
