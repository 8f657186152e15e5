"""The embedded digits: a small data set that needs no network."""

from __future__ import annotations

import numpy as np

from tellapart.data.dataset import Dataset, Part, join_parts

BRIGHTEST = 16


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits: 8 x 8 grey, ten classes, no split.

    Pixel values 0 to 16 are scaled to 0 to 255.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    scaled = np.rint(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    part = Part("", np.asarray(bunch.target, np.int64), scaled[..., None])
    title = "handwritten digits that come with scikit-learn"
    return join_parts("digits", title, tuple("0123456789"), [part])
