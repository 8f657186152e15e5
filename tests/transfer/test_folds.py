"""Cross-validation: every image is told once, by a head that has not seen it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tellapart.data.dataset import Dataset
from tellapart.errors import DataError
from tellapart.transfer.folds import cross_validate, cut_folds
from tellapart.transfer.head import Examples

ROWS = np.arange(400, dtype=np.int64)


def make_examples(dataset: Dataset) -> Examples:
    """Return the pixels as features."""
    pixels = dataset.source.read(np.arange(len(dataset)))
    return Examples(pixels.reshape(len(dataset), -1).astype(np.float16), dataset.labels)


@pytest.mark.parametrize("count", [2, 5])
def test_every_row_is_held_once_and_never_learned_from(count: int, digits: Dataset) -> None:
    folds = cut_folds(digits, ROWS, count, 0)
    assert len(folds) == count
    assert np.array_equal(np.sort(np.concatenate([fold.held for fold in folds])), ROWS)
    for fold in folds:
        parts = (fold.rows.train, fold.rows.watch, fold.held)
        assert np.array_equal(np.sort(np.concatenate(parts)), ROWS)
        assert 0.1 < len(fold.rows.watch) / (len(ROWS) - len(fold.held)) < 0.2
        shares = np.bincount(digits.labels[fold.held]) / np.bincount(digits.labels[ROWS])
        assert np.abs(shares - 1 / count).max() < 0.05


def test_equal_images_are_in_one_fold(digits: Dataset) -> None:
    hashes = list(digits.hashes)
    hashes[200:400] = hashes[:200]
    labels = digits.labels.copy()
    labels[200:400] = labels[:200]
    twins = dataclasses.replace(digits, hashes=tuple(hashes), labels=labels)
    for fold in cut_folds(twins, ROWS, 4, 0):
        held = set(fold.held.tolist())
        assert {(row + 200) % 400 for row in held} == held


def test_the_seed_has_a_say(digits: Dataset) -> None:
    first, again, other = (cut_folds(digits, ROWS, 3, seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0].held, again[0].held)
    assert not np.array_equal(first[0].held, other[0].held)


def test_a_class_of_too_few_is_named(digits: Dataset) -> None:
    few = np.concatenate([np.flatnonzero(digits.labels != 3)[:200], [3]])
    assert digits.labels[3] == 3
    with pytest.raises(DataError, match=r"--folds 5 needs 5 images .* '3' has 1"):
        cut_folds(digits, few, 5, 0)


def test_it_comes_to_what_scikit_learn_does(digits: Dataset) -> None:
    examples = make_examples(digits)
    folds = cut_folds(digits, ROWS, 4, 0)
    seen: list[float] = []
    right, parts = cross_validate(examples, folds, seen.append)
    assert right.shape == ROWS.shape
    assert list(parts) == seen
    held = [right[fold.held].mean() for fold in folds]  # rows are 0 to 399 here
    assert held == pytest.approx(parts)
    theirs = []
    for fold in folds:
        learned = np.concatenate([fold.rows.train, fold.rows.watch])
        vectors = examples.vectors[ROWS].astype(np.float64)
        scaler = StandardScaler().fit(vectors[learned])
        model = LogisticRegression(C=0.1, max_iter=1000)
        model.fit(scaler.transform(vectors[learned]), digits.labels[learned])
        theirs.append(model.score(scaler.transform(vectors[fold.held]), digits.labels[fold.held]))
    assert np.mean(parts) == pytest.approx(np.mean(theirs), abs=0.03)


def test_labels_without_meaning_are_told_by_chance(digits: Dataset) -> None:
    shuffled = np.random.default_rng(0).permutation(digits.labels)
    nonsense = dataclasses.replace(digits, labels=shuffled)
    examples = dataclasses.replace(make_examples(digits), labels=shuffled)
    folds = cut_folds(nonsense, ROWS, 3, 0)
    right, _ = cross_validate(examples, folds, lambda accuracy: None)
    assert right.mean() < 0.2
