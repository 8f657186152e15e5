"""Cross-validation of a logistic head: every image outside test is predicted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Dataset, Indices
from tellapart.data.subset import take_share
from tellapart.errors import DataError
from tellapart.train.loop import Rows
from tellapart.transfer.head import Examples, predict_head
from tellapart.transfer.logistic import fit_best

WATCHED = 0.15
"""Of the images that a fold learns from: what its penalty is chosen on."""
LEAST = 4
"""Images of a class, so that in two folds there is one to learn from and one to choose on."""


@dataclass(frozen=True)
class Fold:
    """What a head learns from and chooses its penalty on, and the ``held`` rows it predicts."""

    rows: Rows
    held: Indices


def cut_folds(dataset: Dataset, rows: Indices, count: int, seed: int) -> tuple[Fold, ...]:
    """Divide rows into folds of equal shares of every class; equal images are in one fold.

    Raises:
        DataError: a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    check_counts(dataset, rows, count)
    labels = dataset.labels[rows]
    groups = np.unique([dataset.hashes[row] for row in rows.tolist()], return_inverse=True)[1]
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    folds = []
    for others, held in cutter.split(np.zeros(len(rows)), labels, groups):
        watch = take_share(dataset, rows[others], WATCHED, seed)
        watched = {dataset.hashes[row] for row in watch.tolist()}
        train = [row for row in rows[others].tolist() if dataset.hashes[row] not in watched]
        folds.append(Fold(Rows(np.array(train, np.int64), watch), np.sort(rows[held])))
    return tuple(folds)


def check_counts(dataset: Dataset, rows: Indices, count: int) -> None:
    """Raise a `DataError` that names a class of fewer images than folds need."""
    counts = np.bincount(dataset.labels[rows], minlength=len(dataset.classes))
    fewest = int(counts.argmin())
    needed = max(count, LEAST)
    if counts[fewest] < needed:
        remedy = "use fewer folds" if count > LEAST else "leave --folds out"
        raise DataError(
            f"--folds {count} needs {needed} images of every class outside test, but "
            f"{dataset.classes[fewest]!r} has {counts[fewest]}; {remedy}"
        )


def cross_validate(
    examples: Examples, folds: tuple[Fold, ...], watch: Callable[[float], None]
) -> tuple[NDArray[np.bool_], tuple[float, ...]]:
    """Return which of the held rows, sorted, were classified right, and each fold's accuracy.

    Each fold's head, its penalty too, is chosen without its held rows. ``watch`` is given each
    fold's accuracy.

    Raises:
        NotFinite: a feature is not finite.
    """
    right: dict[int, bool] = {}
    parts = []
    for fold in folds:
        fit = fit_best(examples, fold.rows)
        logits = predict_head(fit.network, examples.vectors, fold.held)
        hits = logits.argmax(1) == examples.labels[fold.held]
        right |= zip(fold.held.tolist(), hits.tolist(), strict=True)
        parts.append(float(hits.mean()))
        watch(parts[-1])
    return np.array([right[row] for row in sorted(right)]), tuple(parts)
