from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from tellapart.metrics.selective import (
    CHANCE,
    bound_chance,
    choose_surest,
    fit_temperature,
    list_surest,
)

Drawn = tuple[NDArray[np.float64], NDArray[np.bool_]]


def draw_answers(count: int, accuracy: float, seed: int, steps: int = 0) -> Drawn:
    """Return confidences, and whether each answer is right, as of a calibrated model."""
    draw = np.random.default_rng(seed)
    confidence = draw.beta(1.2 * accuracy / (1 - accuracy), 1.2, count)
    right = draw.random(count) < confidence
    return (np.round(confidence * steps) / steps if steps else confidence), right


@given(st.integers(1, 400), st.floats(0.001, 0.5), st.data())
def test_the_binomial_test_is_that_of_scipy(count: int, error: float, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, count))
    truth = stats.binom.cdf(wrong, count, error)
    assert bound_chance(wrong, count, error) == pytest.approx(truth, rel=1e-6, abs=1e-12)


@given(st.integers(0, 500), st.integers(0, 1000), st.sampled_from([0, 10]))
def test_a_curve_counts_what_is_at_least_as_sure(count: int, seed: int, steps: int) -> None:
    confidence, right = draw_answers(count, 0.9, seed, steps)
    curve = list_surest(confidence, right)
    for row in curve:
        answered = confidence >= row.threshold
        assert (row.count, row.wrong) == (answered.sum(), (~right[answered]).sum())
    assert not count or curve[-1].count == count
    assert len(curve) <= 200


@pytest.mark.parametrize("accuracy", [0.88, 0.95])
@pytest.mark.parametrize("error", [0.02, 0.05, 0.1])
def test_a_promised_error_is_kept_in_95_of_100_splits(accuracy: float, error: float) -> None:
    """Half of many images sets the threshold, the others show the error; at most as often as
    promised is it too large, by a binomial test of 200 splits."""
    everything, truth = draw_answers(100_000, accuracy, 0, 2000)
    broken, answered = 0, []
    for split in range(200):
        rows = np.random.default_rng(split).permutation(len(truth))
        own, others = rows[:1000], rows[1000:]
        found = choose_surest(list_surest(everything[own], truth[own]), error)
        if found is None:
            answered.append(0.0)
            continue
        sure = everything[others] >= found.threshold
        answered.append(float(sure.mean()))
        broken += (~truth[others][sure]).mean() > error
    assert stats.binom.sf(broken - 1, 200, CHANCE) > 0.001, broken
    if error == 0.1:
        assert np.mean(answered) > 0.6  # and it is worth having


def test_what_few_images_cannot_show_is_not_promised() -> None:
    confidence = np.linspace(1, 0.5, 100)
    curve = list_surest(confidence, np.ones(100, bool))
    assert choose_surest(curve, 0.02) is None
    found = choose_surest(curve, 0.1)
    assert found is not None
    assert found.count > 40
    assert choose_surest([], 0.1) is None


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, (20_000, 5)).astype(np.float32)
    shares = special.softmax(logits / temperature, axis=1)
    truth = (draw.random((20_000, 1)) > shares.cumsum(1)).sum(1).clip(0, 4)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_a_model_that_is_always_right_has_the_least_temperature() -> None:
    logits = np.eye(3, dtype=np.float32)[np.zeros(9, int)]
    assert fit_temperature(logits, np.zeros(9, np.int64)) == pytest.approx(0.05, rel=0.01)
