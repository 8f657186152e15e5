"""Logistic heads: scikit-learn's minimum, the penalty of val, and views as further images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset, Labels
from tellapart.errors import DataError, Interrupted, NotFinite
from tellapart.stop import ask_stop, clear_stop
from tellapart.train.loop import Rows
from tellapart.transfer.head import Examples, HeadArgs, load_head, predict_head
from tellapart.transfer.logistic import (
    PENALTIES,
    TIRED,
    check_counts,
    cross_validate,
    cut_folds,
    fit_best,
    fit_logistic,
)
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


EVERY = np.arange(400, dtype=np.int64)


def make_examples(dataset: Dataset) -> Examples:
    """Return the pixels as features."""
    pixels = dataset.source.read(np.arange(len(dataset)))
    return Examples(pixels.reshape(len(dataset), -1).astype(np.float16), dataset.labels)


@pytest.mark.parametrize("count", [2, 5])
def test_every_row_is_held_once_and_never_learned_from(count: int, digits: Dataset) -> None:
    folds = cut_folds(digits, EVERY, count, 0)
    assert len(folds) == count
    assert np.array_equal(np.sort(np.concatenate([fold.held for fold in folds])), EVERY)
    for fold in folds:
        parts = (fold.rows.train, fold.rows.watch, fold.held)
        assert np.array_equal(np.sort(np.concatenate(parts)), EVERY)
        assert 0.1 < len(fold.rows.watch) / (len(EVERY) - len(fold.held)) < 0.2
        shares = np.bincount(digits.labels[fold.held]) / np.bincount(digits.labels[EVERY])
        assert np.abs(shares - 1 / count).max() < 0.05


def test_equal_images_are_in_one_fold(digits: Dataset) -> None:
    hashes = list(digits.hashes)
    hashes[200:400] = hashes[:200]
    labels = digits.labels.copy()
    labels[200:400] = labels[:200]
    twins = dataclasses.replace(digits, hashes=tuple(hashes), labels=labels)
    for fold in cut_folds(twins, EVERY, 4, 0):
        held = set(fold.held.tolist())
        assert {(row + 200) % 400 for row in held} == held


def test_the_seed_has_a_say(digits: Dataset) -> None:
    first, again, other = (cut_folds(digits, EVERY, 3, seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0].held, again[0].held)
    assert not np.array_equal(first[0].held, other[0].held)


def test_a_class_of_too_few_is_named(digits: Dataset) -> None:
    few = np.concatenate([np.flatnonzero(digits.labels != 3)[:200], [3]])
    assert digits.labels[3] == 3
    with pytest.raises(DataError, match=r"--folds 5 needs 5 images .* '3' has 1"):
        check_counts(digits, few, 5)


def test_it_comes_to_what_scikit_learn_does(digits: Dataset) -> None:
    examples = make_examples(digits)
    folds = cut_folds(digits, EVERY, 4, 0)
    seen: list[float] = []
    right, parts = cross_validate(examples, folds, seen.append)
    assert right.shape == EVERY.shape
    assert list(parts) == seen
    held = [right[fold.held].mean() for fold in folds]  # rows are 0 to 399 here
    assert held == pytest.approx(parts)
    theirs = []
    for fold in folds:
        learned = np.concatenate([fold.rows.train, fold.rows.watch])
        vectors = examples.vectors[EVERY].astype(np.float64)
        scaler = StandardScaler().fit(vectors[learned])
        model = LogisticRegression(C=0.1, max_iter=1000)
        model.fit(scaler.transform(vectors[learned]), digits.labels[learned])
        theirs.append(model.score(scaler.transform(vectors[fold.held]), digits.labels[fold.held]))
    assert np.mean(parts) == pytest.approx(np.mean(theirs), abs=0.03)


def test_labels_without_meaning_are_told_by_chance(digits: Dataset) -> None:
    shuffled = np.random.default_rng(0).permutation(digits.labels)
    nonsense = dataclasses.replace(digits, labels=shuffled)
    examples = dataclasses.replace(make_examples(digits), labels=shuffled)
    folds = cut_folds(nonsense, EVERY, 3, 0)
    right, _ = cross_validate(examples, folds, lambda accuracy: None)
    assert right.mean() < 0.2
