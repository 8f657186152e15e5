"""Do train, val and test show the same kind of pictures, in the same proportions?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tellapart.audit.checks.check import Looked
from tellapart.audit.checks.shortcuts import encode
from tellapart.data.dataset import Dataset, Pixels
from tellapart.data.loading import FILE_FACTS
from tellapart.records import ALPHA, Finding

FAR, GRAVE_FAR = 0.15, 0.3
"""The largest distance of two distributions (0 to 1) from which on it is a finding, or grave."""
FEWEST = 20
"""Images of a split below which it is not compared."""


def check_drift(looked: Looked) -> Finding | None:
    """Return a finding where two splits differ beyond chance, and by enough to matter.

    Brightness, contrast, colour and sharpness of pictures, facts of files, and classes: by the
    Kolmogorov-Smirnov test, or chi-squared for classes, of one image a group, with Bonferroni's
    correction; the distance is the largest difference of the cumulated shares.
    """
    dataset, split = looked.dataset, looked.split
    parts = {name: _take_one(dataset, rows) for name, rows in
             (("train", split.train), ("val", split.val), ("test", split.test))}  # fmt: skip
    compared = list(combinations([name for name in parts if len(parts[name]) >= FEWEST], 2))
    if not compared:
        return None
    values = measure_pictures(looked.thumbs)
    values |= {name: encode(dataset.facts[name]) for name in FILE_FACTS if name in dataset.facts}
    found: list[tuple[float, str]] = []
    level = ALPHA / (len(compared) * (len(values) + 1))
    for pair in compared:
        between = " and ".join(pair)
        for what, numbers in values.items():
            test = stats.ks_2samp(*(numbers[parts[name]] for name in pair))
            if test.pvalue < level and test.statistic >= FAR:
                found.append((float(test.statistic), f"{what} of {between}"))
        counts = [np.bincount(dataset.labels[parts[name]], minlength=len(dataset.classes))
                  for name in pair]  # fmt: skip
        there = np.array(counts)[:, np.add(*counts) > 0]
        distance = float(np.abs(there[0] / there[0].sum() - there[1] / there[1].sum()).sum() / 2)
        chance = stats.chi2_contingency(there).pvalue if there.shape[1] > 1 else 1.0
        if chance < level and distance >= FAR:
            found.append((distance, f"frequency of classes in {between}"))
    if not found:
        return None
    found.sort(reverse=True)
    listed = "; ".join(f"{what} (distance {distance:.2f})" for distance, what in found[:5])
    return Finding(
        name="drift",
        title="Splits differ",
        severity="grave" if found[0][0] >= GRAVE_FAR else "mind",
        count=len(found),
        of=len(compared) * (len(values) + 1),
        sentence=f"Splits differ beyond chance, from 0 (alike) to 1: {listed}.",
        advice="Scores on such a split say how well the model does on pictures of another kind; "
        "--split grouped divides all images anew.",
    )


def _take_one(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first image of each group: others of it say the same."""
    return rows[np.unique(dataset.groups[rows], return_index=True)[1]] if len(rows) else rows


def measure_pictures(thumbs: Pixels) -> dict[str, NDArray[np.float64]]:
    """Return brightness, contrast, sharpness and (of colours) saturation of each image, (n,)."""
    found = {name: np.empty(len(thumbs)) for name in ("brightness", "contrast", "sharpness")}
    if thumbs.shape[3] == 3:
        found["saturation"] = np.empty(len(thumbs))
    for first in range(0, len(thumbs), 4096):
        rows = slice(first, first + 4096)
        some = thumbs[rows].astype(np.float32)
        colours = [some[..., place] for place in range(some.shape[3])]
        grey = sum(colours) / np.float32(len(colours))
        found["brightness"][rows] = grey.mean((1, 2))
        found["contrast"][rows] = grey.std((1, 2))
        found["sharpness"][rows] = np.abs(np.diff(grey, axis=2)).mean((1, 2))
        if thumbs.shape[3] == 3:
            spread = np.maximum.reduce(colours) - np.minimum.reduce(colours)
            found["saturation"][rows] = spread.mean((1, 2))
    return found
