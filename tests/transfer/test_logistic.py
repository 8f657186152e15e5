"""Logistic heads: scikit-learn's minimum, the penalty of val, and views as further images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from tellapart.config import HeadSettings
from tellapart.data.dataset import Labels
from tellapart.errors import NotFinite
from tellapart.train.loop import Rows
from tellapart.transfer.head import Examples, load_head, predict_head, write_head_args
from tellapart.transfer.logistic import PENALTIES, TIRED, Fit, Problem, fit_logistic, fit_path

COUNT, WIDTH, CLASSES = 700, 12, 4
ROWS = Rows(np.arange(450), np.arange(450, COUNT))
Vectors = NDArray[np.float16]


@pytest.fixture(scope="module")
def labels() -> Labels:
    return np.random.default_rng(0).integers(0, CLASSES, COUNT)


@pytest.fixture(scope="module")
def vectors(labels: Labels) -> Vectors:
    """Clusters that overlap."""
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 0.6, (CLASSES, WIDTH))
    return (centres[labels] + rng.normal(size=(COUNT, WIDTH))).astype(np.float16)


def make_problem(vectors: Vectors, labels: Labels) -> Problem:
    own = vectors[ROWS.train].astype(np.float64)
    mean, scale = own.mean(0), 1 / own.std(0)
    return Problem(
        vectors[ROWS.train],
        labels[ROWS.train],
        torch.from_numpy(mean).float(),
        torch.from_numpy(scale).float(),
        CLASSES,
    )


def test_the_gradient_is_that_of_the_loss(vectors: Vectors, labels: Labels) -> None:
    problem = make_problem(vectors, labels)
    start = np.random.default_rng(3).normal(0, 0.1, CLASSES * (WIDTH + 1))
    error = check_grad(
        lambda x: problem.measure(x, 0.1)[0],
        lambda x: problem.measure(x, 0.1)[1],
        start,
        epsilon=1e-2,
    )
    assert error < 0.02 * np.linalg.norm(problem.measure(start, 0.1)[1])


def test_each_fit_is_scikit_learns(vectors: Vectors, labels: Labels) -> None:
    problem = make_problem(vectors, labels)
    seen: list[Fit] = []
    fit_path(problem, lambda weights, intercepts: len(seen), lambda _, fit, __: seen.append(fit))
    assert [fit.penalty for fit in seen] == list(PENALTIES)
    inputs = (vectors[ROWS.train].astype(np.float64) - problem.mean.numpy()) * problem.scale.numpy()
    for fit in seen[:6]:
        strength = 1 / (fit.penalty * len(ROWS.train))
        other = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        other.fit(inputs, labels[ROWS.train])
        ours = inputs @ fit.weights.double().numpy().T + fit.intercepts.double().numpy()
        ours -= ours.mean(1, keepdims=True)
        theirs = other.decision_function(inputs)
        theirs -= theirs.mean(1, keepdims=True)
        assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()


def test_of_equals_the_largest_penalty_is_taken_and_the_search_tires(
    vectors: Vectors, labels: Labels
) -> None:
    problem = make_problem(vectors, labels)
    seen: list[float] = []
    fits = fit_path(problem, lambda *_: 0.5, lambda _, fit, __: seen.append(fit.penalty))
    assert fits[0].penalty == PENALTIES[0]
    assert len(seen) == len(fits) == 1 + TIRED


def test_a_head_is_fitted_kept_and_read(vectors: Vectors, labels: Labels, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "head"
    run = fit_logistic(Examples(vectors, labels), ROWS, HeadSettings(), folder, said.append)
    assert run.model == "logistic"
    assert run.parameters == CLASSES * (WIDTH + 1)
    penalty = run.settings["weight_decay"]
    assert penalty in PENALTIES and len(said) > TIRED
    recipe = HeadSettings.model_validate(run.settings | {"seed": run.seed})
    about = {"backbone": "x", "backbone_key": "k", "features": WIDTH, "image_size": 8}
    write_head_args(folder, recipe, tuple("abcd"), about)
    logits = predict_head(load_head(folder, "k", run.weights), vectors, ROWS.watch)
    accuracy = float((logits.argmax(1) == labels[ROWS.watch]).mean())
    assert accuracy == pytest.approx(run.val_accuracy.value)
    best = max(float(line.split(":")[1].rstrip(" %")) for line in said)
    assert 100 * accuracy == pytest.approx(best, abs=0.051)
    again = fit_logistic(Examples(vectors, labels), ROWS, HeadSettings(seed=5), tmp_path / "b")
    assert again.val_accuracy == run.val_accuracy, "a convex loss knows no seed"


def test_views_are_further_images(vectors: Vectors, labels: Labels, tmp_path: Path) -> None:
    """A view that shows what val looks like teaches what the images themselves do not."""
    hidden = vectors.copy()
    hidden[ROWS.train] = np.random.default_rng(4).normal(size=(len(ROWS.train), WIDTH))
    alone = fit_logistic(Examples(hidden, labels), ROWS, HeadSettings(), tmp_path / "a")
    view = vectors[ROWS.train]
    both = fit_logistic(Examples(hidden, labels, (view,)), ROWS, HeadSettings(), tmp_path / "b")
    assert alone.val_accuracy.value < 0.5 < both.val_accuracy.value


def test_features_that_are_not_finite_are_refused(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    broken = vectors.copy()
    broken[3, 2] = np.inf
    with pytest.raises(NotFinite):
        fit_logistic(Examples(broken, labels), ROWS, HeadSettings(), tmp_path / "head")
