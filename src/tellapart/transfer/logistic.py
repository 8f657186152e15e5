"""Multinomial logistic regression on features, its penalty chosen on the watched rows.

The loss is the mean cross-entropy plus ``penalty / 2`` times the squared norm of the weights, of
standardised features, intercepts left free; it is convex, so that its minimum depends on no seed.
Penalties are tried from the largest down, each from the weights of the one before; a smaller one
that does no better twice in a row ends the search. In cross-validation every image outside test is
predicted once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.subset import take_share
from tellapart.device import Meter, count_threads, release_memory
from tellapart.errors import DataError, NotFinite
from tellapart.metrics.scores import estimate_score
from tellapart.models.layers import make_head
from tellapart.records import EpochRow, Estimate, RunRecord
from tellapart.stop import check_stop
from tellapart.train.checkpoint import copy_state
from tellapart.train.loop import Rows
from tellapart.transfer.head import (
    Examples,
    Fitted,
    predict_head,
    record_head,
    score_head,
    set_scale,
)

PENALTIES = tuple(10.0**power for power in (0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4, -5))
"""Tried from the first on."""
TIRED = 2
"""Penalties in a row that bring nothing, after which no more are tried."""
ITERATIONS = 100
TOLERANCE = 1e-4
"""Of the largest part of the gradient, where the minimum counts as found."""
PART = 4096
"""Rows that are converted to float32 at once."""

LARGE = 1_000_000_000
"""Numbers in a product of features and weights from which several threads pay."""
PLAIN = HeadSettings(
    kind="logistic", dense=0, dropout=0.0, label_smoothing=0.0, epochs=1, patience=0
)
"""A logistic head, its penalty aside."""


WATCHED = 0.15
"""Of the images that a fold learns from: what its penalty is chosen on."""
LEAST = 4
"""Images of a class, so that in two folds there is one to learn from and one to choose on."""


@dataclass(frozen=True)
class Fit:
    """A penalty, the score on the watched rows, and the head."""

    penalty: float
    score: Estimate
    network: nn.Sequential


Watch = Callable[[float, float], None]
"""Is given a penalty and the score on the watched rows that it comes to."""


def fit_best(
    examples: Examples,
    rows: Rows,
    watch: Watch = lambda penalty, score: None,
    metric: str = "accuracy",
    penalties: Sequence[float] = PENALTIES,
) -> Fit:
    """Return the fit that does best on ``rows.watch``; of equals that with the largest penalty.

    ``penalties`` are tried, the largest first.

    Raises:
        NotFinite: a feature is not finite.
        Interrupted: a stop was asked for.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    classes, width = int(examples.labels.max()) + 1, examples.vectors.shape[1]
    network = make_head(width, classes, PLAIN)
    set_scale(network, examples.vectors, rows.train)
    inputs = _standardize(examples, rows, network)
    labels = np.tile(examples.labels[rows.train], 1 + len(examples.views))
    model = LogisticRegression(tol=TOLERANCE, max_iter=ITERATIONS, warm_start=True)
    # of two classes it fits the difference, the square of which is twice that of both
    count = len(labels) / 2 if len(np.unique(labels)) == 2 else len(labels)
    threads = count_threads() if inputs.size * classes > LARGE else 1
    best: tuple[float, float] | None = None
    tired = 0
    for penalty in penalties:
        check_stop()
        model.C = 1 / (penalty * count)
        with warnings.catch_warnings(), threadpool_limits(threads, "blas"):
            # at the smallest penalties the last digits would take long, and decide nothing
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(inputs, labels)
        _fill(network, model)
        score = score_head(network, examples, rows.watch, metric)[2]
        watch(penalty, score)
        if best is None or score > best[0]:
            best, state, tired = (score, penalty), copy_state(network), 0
        else:
            tired += 1
        if tired == TIRED:
            break
    assert best is not None
    network.load_state_dict(state)
    predicted = predict_head(network, examples.vectors, rows.watch).argmax(1)
    truth = examples.labels[rows.watch]
    groups = None if examples.groups is None else examples.groups[rows.watch]
    return Fit(best[1], estimate_score(metric, truth, predicted, classes, groups), network)


def _standardize(examples: Examples, rows: Rows, network: nn.Sequential) -> NDArray[np.float32]:
    """Return the training rows, in each view, as (k, width) float32."""
    count = len(rows.train)
    found = np.empty((count * (1 + len(examples.views)), examples.vectors.shape[1]), np.float32)
    for view in range(1 + len(examples.views)):
        for first in range(0, count, PART):
            places = np.arange(first, min(first + PART, count))
            part = torch.from_numpy(examples.take(rows.train, places, view)).float()
            found[view * count + places] = network[0](part).numpy()
    if not np.isfinite(found).all():
        raise NotFinite("features must be finite, but some are not; look at the data")
    return found


def _fill(network: nn.Sequential, model: Any) -> None:
    """Write what was fitted into a head; a class without a training image is never the answer."""
    weights, intercepts = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes scikit-learn fits the difference
        weights, intercepts = (np.concatenate([-one, one]) / 2 for one in (weights, intercepts))
    linear = network[-1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(float(intercepts.min()) - 20)
        places = torch.from_numpy(model.classes_)
        linear.weight[places] = torch.from_numpy(weights).float()
        linear.bias[places] = torch.from_numpy(intercepts).float()


def fit_logistic(
    examples: Examples,
    rows: Rows,
    settings: HeadSettings,
    folder: Path,
    watch: Watch = lambda penalty, score: None,
    metric: str = "accuracy",
) -> RunRecord:
    """Fit a logistic head to all views at once, its penalty chosen on ``rows.watch``.

    It is left in ``folder``. The record's settings have the penalty as ``weight_decay``; its one
    row of history is that of the fit.

    Raises:
        NotFinite: a feature is not finite.
        Interrupted: a stop was asked for; a head is fitted anew, in seconds.
    """
    with Meter() as meter:
        best = fit_best(examples, rows, watch, metric)
        loss, accuracy, _ = score_head(best.network, examples, rows.train, metric)
        val_loss, val_accuracy, val_score = score_head(best.network, examples, rows.watch, metric)
    row = EpochRow(
        epoch=1,
        seconds=meter.seconds,
        lr=0.0,
        loss=loss,
        accuracy=accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        val_score=val_score,
    )
    chosen = PLAIN.model_copy(update={"weight_decay": best.penalty, "seed": settings.seed})
    record = record_head(
        folder, chosen, examples, rows, Fitted(best.network, (row,), meter, metric)
    )
    release_memory()
    return record


@dataclass(frozen=True)
class Fold:
    """What a head learns from and chooses its penalty on, and the ``held`` rows it predicts."""

    rows: Rows
    held: Indices


def cut_folds(dataset: Dataset, rows: Indices, count: int, seed: int) -> tuple[Fold, ...]:
    """Divide rows into folds of equal shares of every class; no group is in two of them.

    Each class has to have at least ``count`` images, and ``LEAST``.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels = dataset.labels[rows]
    groups = dataset.groups[rows]
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    folds = []
    for others, held in cutter.split(np.zeros(len(rows)), labels, groups):
        watch = take_share(dataset, rows[others], WATCHED, seed)
        watched = set(dataset.groups[watch].tolist())
        train = [row for row in rows[others].tolist() if dataset.groups[row] not in watched]
        folds.append(Fold(Rows(np.array(train, np.int64), watch), np.sort(rows[held])))
    return tuple(folds)


def check_counts(dataset: Dataset, rows: Indices, count: int) -> None:
    """Raise a `DataError` that names a class of fewer images than folds need."""
    pairs = np.unique(np.stack([dataset.labels[rows], dataset.groups[rows]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(dataset.classes))  # copies are one
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


def predict_folds(
    examples: Examples,
    folds: tuple[Fold, ...],
    penalties: Sequence[float],
    watch: Callable[[], None],
) -> NDArray[np.float32]:
    """Return (n, classes) probabilities of the held rows, sorted; no head was fitted to its own.

    The penalty of all is that which is best in the first fold. ``watch`` is called after each.

    Raises:
        NotFinite: a feature is not finite.
    """
    rows = np.concatenate([fold.held for fold in folds])
    found = []
    for fold in folds:
        fit = fit_best(examples, fold.rows, penalties=penalties)
        penalties = (fit.penalty,)
        logits = torch.from_numpy(predict_head(fit.network, examples.vectors, fold.held))
        found.append(torch.softmax(logits, dim=1).numpy())
        watch()
    probabilities: NDArray[np.float32] = np.concatenate(found)[np.argsort(rows)]
    return probabilities
