"""Logistic heads: scikit-learn's minimum, the penalty of val, and views as further images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tellapart.config import HeadSettings
from tellapart.data.dataset import Labels
from tellapart.errors import Interrupted, NotFinite
from tellapart.stop import ask_stop, clear_stop
from tellapart.train.loop import Rows
from tellapart.transfer.head import Examples, HeadArgs, load_head, predict_head
from tellapart.transfer.logistic import PENALTIES, TIRED, fit_best, fit_logistic
from tellapart.workspace import write_json

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


@pytest.mark.parametrize("classes", [2, CLASSES])
def test_it_is_the_minimum_of_its_loss(classes: int, vectors: Vectors, labels: Labels) -> None:
    """Mean cross-entropy plus half the penalty times the squares, of standardised features."""
    labels = labels % classes
    fit = fit_best(Examples(vectors, labels), ROWS)
    logits = predict_head(fit.network, vectors, ROWS.train).astype(np.float64)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    slope = odds / odds.sum(1, keepdims=True) - np.eye(classes)[labels[ROWS.train]]
    own = vectors[ROWS.train].astype(np.float64)
    inputs = (own - own.mean(0)) / own.std(0)
    weights = fit.network[-1].weight.detach().double().numpy()  # type: ignore[operator]  # a tensor
    gradient = slope.T @ inputs / len(own) + fit.penalty * weights
    assert np.abs(gradient).max() < 1e-3
    assert np.abs(slope.mean(0)).max() < 1e-3


def test_of_equals_the_largest_penalty_is_taken_and_the_search_tires(
    vectors: Vectors, labels: Labels
) -> None:
    nobody = Rows(ROWS.train, np.flatnonzero(labels == 0)[:1])
    easy = vectors.copy()
    easy[nobody.watch] = easy[ROWS.train[labels[ROWS.train] == 0]].mean(0)
    seen: list[float] = []
    fit = fit_best(Examples(easy, labels), nobody, lambda penalty, _: seen.append(penalty))
    assert (fit.penalty, fit.score.value) == (PENALTIES[0], 1)
    assert seen == list(PENALTIES[: 1 + TIRED])


def test_a_head_is_fitted_kept_and_read(vectors: Vectors, labels: Labels, tmp_path: Path) -> None:
    seen: dict[float, float] = {}
    folder = tmp_path / "head"
    run = fit_logistic(Examples(vectors, labels), ROWS, HeadSettings(), folder, seen.__setitem__)
    assert run.model == "logistic"
    assert run.parameters == CLASSES * (WIDTH + 1)
    penalty = run.settings["weight_decay"]
    assert penalty in PENALTIES and len(seen) > TIRED
    recipe = HeadSettings.model_validate(run.settings | {"seed": run.seed})
    args = HeadArgs(
        recipe=recipe,
        classes=tuple("abcd"),
        backbone="x",
        backbone_key="k",
        features=WIDTH,
        image_size=8,
    )
    write_json(folder / "args.json", args)
    logits = predict_head(load_head(folder, "k", run.weights), vectors, ROWS.watch)
    accuracy = float((logits.argmax(1) == labels[ROWS.watch]).mean())
    assert accuracy == pytest.approx(run.val_accuracy.value)
    assert accuracy == max(seen.values()) == seen[float(str(penalty))]
    again = fit_logistic(Examples(vectors, labels), ROWS, HeadSettings(seed=5), tmp_path / "b")
    assert again.weights == run.weights, "a convex loss knows no seed"


def test_it_classifies_as_scikit_learn_does(vectors: Vectors, labels: Labels) -> None:
    fit = fit_best(Examples(vectors, labels), ROWS)
    own = vectors.astype(np.float64)
    inputs = (own - own[ROWS.train].mean(0)) / own[ROWS.train].std(0)
    other = LogisticRegression(C=1 / (fit.penalty * len(ROWS.train)), tol=1e-8, max_iter=5000)
    other.fit(inputs[ROWS.train], labels[ROWS.train])
    assert fit.score.value == pytest.approx(
        other.score(inputs[ROWS.watch], labels[ROWS.watch]), abs=0.01
    )


def test_views_are_further_images(vectors: Vectors, labels: Labels, tmp_path: Path) -> None:
    """A view that shows what val looks like teaches what the images themselves do not."""
    hidden = vectors.copy()
    hidden[ROWS.train] = np.random.default_rng(4).normal(size=(len(ROWS.train), WIDTH))
    alone = fit_logistic(Examples(hidden, labels), ROWS, HeadSettings(), tmp_path / "a")
    view = vectors[ROWS.train]
    both = fit_logistic(Examples(hidden, labels, (view,)), ROWS, HeadSettings(), tmp_path / "b")
    assert alone.val_accuracy.value < 0.5 < both.val_accuracy.value


def test_a_class_without_a_training_image_is_never_the_answer(
    vectors: Vectors, labels: Labels
) -> None:
    lacking = Rows(ROWS.train[labels[ROWS.train] != 1], ROWS.watch)
    fit = fit_best(Examples(vectors, labels), lacking)
    answers = predict_head(fit.network, vectors, ROWS.watch).argmax(1)
    assert set(answers.tolist()) == {0, 2, 3}


def test_a_stop_is_heard_between_penalties(vectors: Vectors, labels: Labels) -> None:
    seen: list[float] = []

    def stop(penalty: float, accuracy: float) -> None:
        seen.append(penalty)
        ask_stop()

    with pytest.raises(Interrupted):
        fit_best(Examples(vectors, labels), ROWS, stop)
    clear_stop()
    assert len(seen) == 1


def test_features_that_are_not_finite_are_refused(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    broken = vectors.copy()
    broken[3, 2] = np.inf
    with pytest.raises(NotFinite):
        fit_logistic(Examples(broken, labels), ROWS, HeadSettings(), tmp_path / "head")
