from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from sklearn import metrics

from tellapart.metrics.probabilities import BINS, measure_labels, measure_scores
from tellapart.metrics.scores import SCORES

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]


def draw(n: int, classes: int, seed: int = 0) -> Answers:
    """Return true classes and the probabilities of a model that knows something."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = rng.standard_normal((n, classes))
    logits[np.arange(n), truth] += 1.5
    return truth, special.softmax(2 * logits, axis=1)


@pytest.mark.parametrize("classes", [2, 5, 24])
def test_scores_of_probabilities_are_those_of_scikit_learn(classes: int) -> None:
    truth, shares = draw(300, classes)
    found = measure_scores(truth, shares)
    labels = list(range(classes))
    expected = {
        "accuracy": metrics.accuracy_score(truth, shares.argmax(1)),
        "log_loss": metrics.log_loss(truth, shares, labels=labels),
        "brier": np.square(shares - np.eye(classes)[truth]).sum(1).mean(),
    }
    if classes == 2:
        expected["auc"] = metrics.roc_auc_score(truth, shares[:, 1])
    if classes == 24:
        expected["top5"] = metrics.top_k_accuracy_score(truth, shares, k=5, labels=labels)
    assert found.keys() == {*SCORES, *expected, "ece"}
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        assert found[name].low < value < found[name].high, name
        assert found[name].n == 300
    assert measure_scores(truth, shares) == found, "the same for the same predictions"


def test_the_calibration_error_is_that_of_its_bins() -> None:
    truth, shares = draw(400, 3)
    confidence, right = shares.max(1), shares.argmax(1) == truth
    expected = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (confidence >= low) & (confidence < low + 1 / BINS)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = measure_scores(truth, shares)["ece"]
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_ties_count_half_in_the_area_under_the_curve() -> None:
    truth = np.array([0, 0, 1, 1, 1, 0])
    shares = np.array([0.2, 0.5, 0.5, 0.8, 0.2, 0.1])
    found = measure_scores(truth, np.stack([1 - shares, shares], 1))["auc"]
    assert found.value == pytest.approx(metrics.roc_auc_score(truth, shares))
    one_class = measure_scores(np.ones(4, np.int64), np.full((4, 2), 0.5))
    assert "auc" not in one_class, "of one class there is none"


def test_copies_make_no_interval_narrower() -> None:
    truth, shares = draw(100, 4)
    alone = measure_scores(truth, shares)
    groups = np.arange(100).repeat(5)
    copied = measure_scores(truth.repeat(5), shares.repeat(5, axis=0), groups)
    for name, one in alone.items():
        assert copied[name].value == pytest.approx(one.value), name
        width = (copied[name].high - copied[name].low) / (one.high - one.low)
        assert 0.9 < width < 1.15, name


def test_what_was_predicted_may_be_another_than_the_likeliest() -> None:
    truth, shares = draw(200, 3)
    named = np.roll(shares.argmax(1), 1)
    found = measure_scores(truth, shares, predicted=named)
    assert found["accuracy"].value == (named == truth).mean()
    assert measure_labels(truth, named, 3)["macro_f1"] == found["macro_f1"]
    assert found["log_loss"] == measure_scores(truth, shares)["log_loss"]


def test_a_certain_mistake_is_finite_and_no_images_have_no_scores() -> None:
    found = measure_scores(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert found["log_loss"].value == pytest.approx(-np.log(1e-15) / 2)
    assert measure_scores(np.zeros(0, np.int64), np.zeros((0, 3))).keys() == SCORES.keys()


def test_equally_likely_classes_are_named_in_order() -> None:
    truth = np.arange(200) % 20
    found = measure_scores(truth, np.full((200, 20), 0.05))
    assert found["top5"].value == 0.25
    assert found["accuracy"].value == 0.05


def test_where_all_is_right_nothing_is_certain() -> None:
    truth = np.array([0] * 20 + [1] * 5)
    found = measure_scores(truth, np.eye(2)[truth])
    for name in ("balanced_accuracy", "macro_f1"):
        assert found[name].value == found[name].high == 1, name
        assert found[name].low < 0.9, f"{name}: of five images of a class"


def test_the_calibration_error_stays_within_its_bounds() -> None:
    truth = np.array([0] + [1] * 9)
    found = measure_scores(truth, np.tile([1.0, 0.0], (10, 1)))["ece"]
    assert found.value == pytest.approx(0.9) and found.high == 1
