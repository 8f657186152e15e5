"""Is the class written in the kind of file, or in a column of a table?"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tellapart.audit.checks.check import Looked
from tellapart.data.loading import FILE_FACTS, SINGLE
from tellapart.metrics.intervals import estimate_share
from tellapart.records import ALPHA, Finding
from tellapart.stop import check_stop

FOLDS, LEAVES, FEWEST, MOST = 5, 16, 100, 10_000
"""Folds of images, leaves of a tree, images below which nothing is asked, and of which it is."""
BRIGHTNESS, BORDER = " brightness", (" red", " green", " blue")  # no column begins with a blank
SEEN = ("the brightness of pictures", "the colour of their borders")
"""What pictures give away at a glance: as that may be what they show, it must be much."""
PERMUTED = 20
"""Permutations from which it is seen what chance gives."""
GAIN = 0.25
"""The part of the commonest class's mistakes that a shortcut saves, from which on it is grave."""
LEAST = 0.05
"""The part from which on it is a finding, beyond chance (Bonferroni for the columns asked)."""


def check_shortcuts(looked: Looked) -> Finding | None:
    """Return a finding where facts of files, or a column, tell classes better than the commonest.

    Out of folds of whole groups: a small decision tree on each column, and one on width, height,
    mode and bytes of files together.
    """
    rows = np.sort(np.concatenate([looked.split.train, looked.split.val]))  # test stays closed
    rows = rows[:: -(-len(rows) // MOST)]
    if len(rows) < FEWEST:
        return None
    dataset, labels, groups = (
        looked.dataset,
        looked.dataset.labels[rows],
        looked.dataset.groups[rows],
    )
    floor = float(np.bincount(labels).max() / len(rows))
    asked: dict[str, tuple[str, ...]] = {"width, height, mode and size of the files": FILE_FACTS}
    facts = {name: encode(values)[rows] for name, values in dataset.facts.items()}
    facts |= _measure_looks(looked, rows)
    for name in dataset.facts:
        if name not in (*FILE_FACTS, SINGLE) and not _is_label(name, facts[name], labels):
            asked[f"the column {name}"] = (name,)
    asked |= dict(zip(SEEN, ((BRIGHTNESS,), BORDER), strict=True))
    found = []
    for title, names in asked.items():
        columns = [facts[name] for name in names if name in facts]
        columns = [column for column in columns if len(np.unique(column)) > 1]
        if not columns:
            continue
        table = np.stack(columns, 1)
        right = predict_labels(table, labels, groups)
        saved = (float(right.mean()) - floor) / (1 - floor)
        if saved >= (GAIN if title in SEEN else LEAST) and find_chance(
            table, labels, groups, right.mean()
        ) < ALPHA / len(asked):
            found.append((saved, title, estimate_share(right, groups)))
    if not found:
        return None
    found.sort(key=lambda one: -one[0])
    listed = "; ".join(
        f"{title}: {100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
        for _, title, score in found[:5]
    )
    return Finding(
        name="shortcuts",
        title="The class can be told without a close look",
        severity="grave"
        if any(saved >= GAIN for saved, title, _ in found if title not in SEEN)
        else "mind",
        count=len(found),
        of=len(asked),
        sentence=f"Without a close look, the class of so many images is told right by "
        f"{listed}. The commonest class alone gives {100 * floor:.1f} %.",
        advice="A model may learn this instead of the picture, and fail where it does not hold: "
        "make files alike, or test on images that were made in another way.",
    )


def _is_label(name: str, column: NDArray[np.float64], labels: NDArray[np.int64]) -> bool:
    """Tell whether a column names each image, or is the label in other words or as a number."""
    values = len(np.unique(column))
    pairs = len(np.unique(np.stack([column, labels]), axis=1).T)
    called = re.search("label|class|target|categor", name.casefold()) is not None
    return values == len(column) or (called and values == pairs == len(np.unique(labels)))


def _measure_looks(looked: Looked, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the brightness of pictures, and the means of each colour along their borders."""
    thumbs = looked.thumbs[rows]
    found = {BRIGHTNESS: thumbs.mean((1, 2, 3))}
    edges = (thumbs[:, 0], thumbs[:, -1], thumbs[:, :, 0], thumbs[:, :, -1])
    border = np.concatenate(edges, 1).mean(1)
    return found | {BORDER[place]: border[:, place] for place in range(border.shape[1])}


def find_chance(
    table: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    seen: float,
) -> float:
    """Return how likely a table that says nothing is right as often, or more.

    Its rows are permuted, group by group, and what comes of that is taken to be normal.
    """
    rng, order = np.random.default_rng(0), np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    parts = np.split(order, cuts)
    shares = []
    for _ in range(PERMUTED):
        check_stop()
        mixed = np.empty_like(table)
        mixed[order] = table[np.concatenate([parts[i] for i in rng.permutation(len(parts))])]
        shares.append(predict_labels(mixed, labels, groups).mean())
    spread = float(np.std(shares, ddof=1)) * math.sqrt(1 + 1 / PERMUTED)
    return float(stats.t.sf((seen - np.mean(shares)) / max(spread, 1e-9), PERMUTED - 1))


def encode(values: tuple[str, ...]) -> NDArray[np.float64]:
    """Return a column as numbers: its own, or those of its values in the order of frequency."""
    try:
        numbers = np.array([float(value) if value else np.nan for value in values])
        return np.where(np.abs(numbers) < 1e30, numbers, np.nan)
    except ValueError:
        names, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
        rank = np.empty(len(names))
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
        return rank[numbers]


def predict_labels(
    columns: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return where a tree on (n, columns) is right, out of folds of whole groups."""
    from sklearn.model_selection import GroupKFold
    from sklearn.tree import DecisionTreeClassifier

    right = np.zeros(len(labels), bool)
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        return right
    for train, held in GroupKFold(folds, shuffle=True, random_state=0).split(
        columns, groups=groups
    ):
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=5, random_state=0)
        tree.fit(columns[train], labels[train])
        right[held] = tree.predict(columns[held]) == labels[held]
    return right
