"""Multinomial logistic regression on features, its penalty chosen on the watched rows.

The loss is the mean cross-entropy plus ``penalty / 2`` times the squared norm of the weights, of
standardised features, intercepts left free; it is convex, so that its minimum depends on no seed.
It is found by L-BFGS (Liu and Nocedal 1989) from the largest penalty to the smallest, each from the
weights of the one before; a smaller one that does no better twice in a row ends the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from tellapart.config import HeadSettings
from tellapart.data.dataset import Labels
from tellapart.device import Meter, release_memory
from tellapart.errors import NotFinite
from tellapart.metrics.scores import compute_loss
from tellapart.models.head import Standardize, make_head
from tellapart.records import EpochRow, RunRecord
from tellapart.stop import check_stop
from tellapart.train.checkpoint import BEST, copy_state, save_weights, write_history
from tellapart.train.loop import Rows
from tellapart.transfer.head import Examples, predict_head, record_head, set_scale
from tellapart.transfer.store import HELD_BYTES

PENALTIES = tuple(10.0**power for power in (0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4, -5))
"""Tried from the first on."""
TIRED = 2
"""Penalties in a row that bring nothing, after which no more are tried."""
ITERATIONS = 100
CHUNK = 4096
"""Rows that are converted to float32 at once."""

PLAIN = {
    "kind": "logistic",
    "dense": 0,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "epochs": 1,
    "patience": 0,
}
"""Settings of a logistic head, its penalty aside."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted regression: (classes, width) weights and (classes,) intercepts, float32."""

    penalty: float
    weights: torch.Tensor
    intercepts: torch.Tensor
    loss: float
    accuracy: float
    iterations: int


@dataclass(frozen=True)
class Problem:
    """Standardised features and labels of the training rows.

    Attributes:
        vectors: (n, width) float16, as they are kept.
        labels: (n,) int64.
        mean, scale: (width,) float32, by which features are standardised.
        classes: how many.
    """

    vectors: NDArray[np.float16]
    labels: Labels
    mean: torch.Tensor
    scale: torch.Tensor
    classes: int

    @cached_property
    def held(self) -> torch.Tensor | None:
        """The standardised features, (n, width) float32, where they take little memory."""
        fits = 4 * self.vectors.size <= HELD_BYTES
        return self._standardize(self.vectors) if fits else None

    def measure(self, parameters: Floats, penalty: float) -> tuple[float, Floats]:
        """Return the loss and its gradient at (classes * (width + 1),) parameters."""
        width = self.vectors.shape[1]
        flat = torch.from_numpy(parameters).float().view(self.classes, width + 1)
        weights, intercepts = flat[:, :width], flat[:, width]
        gradient = torch.zeros_like(flat)
        total, count = 0.0, len(self.labels)
        for first in range(0, count, CHUNK):
            check_stop()
            part = slice(first, first + CHUNK)
            held = self.held
            inputs = self._standardize(self.vectors[part]) if held is None else held[part]
            truth = torch.from_numpy(self.labels[first : first + CHUNK])
            logits = torch.addmm(intercepts, inputs, weights.T)
            total += float(functional.cross_entropy(logits, truth, reduction="sum"))
            slope = logits.softmax(1)
            slope[torch.arange(len(truth)), truth] -= 1
            gradient[:, :width].addmm_(slope.T, inputs)
            gradient[:, width] += slope.sum(0)
        gradient /= count
        gradient[:, :width] += penalty * weights
        loss = total / count + penalty / 2 * float(weights.square().sum())
        return loss, gradient.view(-1).double().numpy()

    def _standardize(self, part: NDArray[np.float16]) -> torch.Tensor:
        return torch.from_numpy(part).float().sub_(self.mean).mul_(self.scale)


def fit_path(
    problem: Problem,
    judge: Callable[[torch.Tensor, torch.Tensor], float],
    watch: Callable[[int, Fit, float], None],
) -> tuple[Fit, ...]:
    """Fit with falling penalties while a smaller one does better.

    Args:
        judge: gives what weights and intercepts are worth, such as the accuracy on val.
        watch: is called after each fit with its number from 1, and its worth.

    Returns:
        the fits, the best first; of equals the one with the largest penalty.

    Raises:
        NotFinite: the loss is not finite.
    """
    from scipy import optimize

    width = problem.vectors.shape[1]
    parameters = np.zeros(problem.classes * (width + 1))
    found: list[tuple[float, int, Fit]] = []
    tired = 0
    for number, penalty in enumerate(PENALTIES):
        outcome = optimize.minimize(
            problem.measure,
            parameters,
            args=(penalty,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": ITERATIONS, "gtol": 1e-4, "maxcor": 10},
        )
        if not math.isfinite(outcome.fun):
            raise NotFinite("the loss of the logistic regression is not finite; look at the data")
        parameters = outcome.x
        flat = torch.from_numpy(parameters).float().view(problem.classes, width + 1)
        weights, intercepts = flat[:, :width].contiguous(), flat[:, width].contiguous()
        worth = judge(weights, intercepts)
        fit = Fit(penalty, weights, intercepts, float(outcome.fun), worth, int(outcome.nit))
        watch(number + 1, fit, worth)
        tired = tired + 1 if found and worth <= max(one[0] for one in found) else 0
        found.append((worth, number, fit))
        if tired == TIRED:
            break
    return tuple(fit for _, _, fit in sorted(found, key=lambda one: (-one[0], one[1])))


def say_nothing(said: str) -> None:
    """Do nothing with what a penalty came to."""


def try_logistic(examples: Examples, rows: Rows, settings: HeadSettings) -> Fit:
    """Return the best fit, and keep nothing."""
    return fit_best(examples, rows, settings, say_nothing)[1]


def fit_best(
    examples: Examples, rows: Rows, settings: HeadSettings, watch: Callable[[str], None]
) -> tuple[nn.Sequential, Fit]:
    """Return the network with the best fit's weights, and the fit."""
    classes, width = int(examples.labels.max()) + 1, examples.vectors.shape[1]
    network = make_head(width, classes, settings.model_copy(update=PLAIN))
    set_scale(network, examples.vectors, rows.train)
    standardize, linear = network[0], network[-1]
    assert isinstance(standardize, Standardize) and isinstance(linear, nn.Linear)
    truth = examples.labels[rows.watch]

    def put(weights: torch.Tensor, intercepts: torch.Tensor) -> None:
        with torch.no_grad():
            linear.weight.copy_(weights)
            linear.bias.copy_(intercepts)

    def judge(weights: torch.Tensor, intercepts: torch.Tensor) -> float:
        put(weights, intercepts)
        logits = predict_head(network, examples.vectors, rows.watch)
        return float((logits.argmax(1) == truth).mean())

    def show(number: int, fit: Fit, worth: float) -> None:
        watch(f"penalty {fit.penalty:.2g}: {100 * worth:.1f} %")

    shown = [examples.vectors[rows.train]]
    shown += [view[np.arange(len(rows.train))] for view in examples.views]
    problem = Problem(
        vectors=np.concatenate(shown) if len(shown) > 1 else shown[0],
        labels=np.tile(examples.labels[rows.train], len(shown)),
        mean=standardize.mean,
        scale=standardize.scale,
        classes=classes,
    )
    best = fit_path(problem, judge, show)[0]
    put(best.weights, best.intercepts)
    return network, best


def fit_logistic(
    examples: Examples,
    rows: Rows,
    settings: HeadSettings,
    folder: Path,
    watch: Callable[[str], None] = say_nothing,
) -> RunRecord:
    """Fit a logistic head, its penalty chosen on ``rows.watch``, and leave it in ``folder``.

    It learns from all views at once. The record's settings have the penalty as ``weight_decay``;
    its one row of history is that of the fit.

    Args:
        watch: is told of each penalty in words.

    Raises:
        NotFinite: the loss is not finite.
        Interrupted: a stop was asked for; a head is fitted anew, in seconds.
    """
    with Meter() as meter:
        network, best = fit_best(examples, rows, settings, watch)
        logits = predict_head(network, examples.vectors, rows.watch)
        told = predict_head(network, examples.vectors, rows.train)
    row = EpochRow(
        epoch=1,
        seconds=meter.seconds,
        lr=0.0,
        loss=best.loss,
        accuracy=float((told.argmax(1) == examples.labels[rows.train]).mean()),
        val_loss=compute_loss(logits, examples.labels[rows.watch]),
        val_accuracy=best.accuracy,
        val_score=best.accuracy,
    )
    state = copy_state(network)
    weights = save_weights(folder / BEST, state)
    save_weights(folder / "weights" / "last.safetensors", state)
    write_history(folder / "history.csv", [row])
    chosen = settings.model_copy(update=PLAIN | {"weight_decay": best.penalty})
    record = record_head(folder, chosen, network, rows, (row, [row], meter), weights)
    release_memory()
    return record
