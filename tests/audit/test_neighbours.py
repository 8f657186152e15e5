"""Neighbours are those of scikit-learn; the bound moves with the labels; what lies far is found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import NearestNeighbors

from tellapart.audit import neighbours
from tellapart.audit.neighbours import bound_accuracy, find_far, find_neighbours, reduce_features


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float16]:
    return np.asarray(load_digits().data, np.float16)


def test_components_are_those_of_scikit_learn(pixels: NDArray[np.float16]) -> None:
    points = reduce_features(pixels.__getitem__, len(pixels))
    expected = TruncatedSVD(60, algorithm="arpack").fit_transform(pixels.astype(np.float64))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(points @ points.T, expected @ expected.T, atol=1e-3)


@pytest.mark.parametrize("grouped", [False, True])
def test_neighbours_are_those_of_scikit_learn(
    pixels: NDArray[np.float16], grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    points = reduce_features(pixels.__getitem__, 350)
    groups = np.arange(350) // (3 if grouped else 1)
    near, distances = find_neighbours(points, groups, 4)
    finder = NearestNeighbors(metric="cosine").fit(points)
    far, order = finder.kneighbors(points, 12)
    for row in range(350):
        others = groups[order[row]] != groups[row]
        np.testing.assert_array_equal(near[row], order[row][others][:4])
        np.testing.assert_allclose(distances[row], far[row][others][:4], atol=1e-5)


@pytest.mark.parametrize("flips", [0.1, 0.3])
def test_the_bound_moves_by_the_labels_that_are_flipped(
    pixels: NDArray[np.float16], flips: float
) -> None:
    rng = np.random.default_rng(0)
    labels = load_digits().target
    count = len(labels)
    flipped = (labels + (rng.random(count) < flips) * rng.integers(1, 10, count)) % 10
    near, _ = find_neighbours(reduce_features(pixels.__getitem__, count), np.arange(count), 1)
    before, after = (
        bound_accuracy(own[near[:, 0]] == own, np.arange(count), 10) for own in (labels, flipped)
    )
    assert 0.98 < before.value < 1
    expected = before.value * (1 - flips) + (1 - before.value) * flips / 9
    assert after.low - 0.005 <= expected <= after.high + 0.005


def test_a_bound_of_labels_without_sense_is_chance() -> None:
    rng = np.random.default_rng(0)
    bound = bound_accuracy(rng.random(4000) < 0.25, np.arange(4000), 4)
    assert bound.low <= 0.25 <= bound.high and bound.low >= 0.25


def test_what_lies_far_is_found_and_a_clean_set_has_nothing() -> None:
    rng = np.random.default_rng(0)
    distances = np.clip(rng.normal(0.3, 0.05, 1000), 0.15, 0.45)
    assert not len(find_far(distances))
    distances[[7, 900]] = 0.6, 0.7
    assert find_far(distances).tolist() == [900, 7]
