"""The embedded digits: a small data set that needs no network."""

from __future__ import annotations

import numpy as np

from tellapart.data.dataset import ArraySource, Dataset, hash_pixels

BRIGHTEST = 16


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits: 8 x 8 grey, ten classes, no split.

    Pixel values 0 to 16 are scaled to 0 to 255.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    scaled = np.rint(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    pixels = np.ascontiguousarray(scaled[..., None])
    count = len(pixels)
    return Dataset(
        name="digits",
        origin=f"handwritten digits that come with scikit-learn: {count:,} images",
        classes=tuple(str(digit) for digit in range(10)),
        labels=np.asarray(bunch.target, np.int64),
        source=ArraySource(pixels),
        hashes=hash_pixels(pixels),
        roles=("",) * count,
        image_size=8,
        size_reason="8 px: the images' own size",
        channels=1,
        sizes={"8x8": count},
        modes={"L": count},
    )
