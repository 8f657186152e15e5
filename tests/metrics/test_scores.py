from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from sklearn import metrics

from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import (
    compute_loss,
    compute_probabilities,
    count_confusions,
    score_classes,
)

CLASSES = 5
Answers = tuple[NDArray[np.int64], NDArray[np.int64]]


@pytest.fixture
def answers() -> Answers:
    """True and predicted classes; class 3 is never predicted, class 4 never true."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 5, 300))
    predicted[predicted == 3] = 4
    return truth, predicted


def test_confusions_are_those_of_scikit_learn(answers: Answers) -> None:
    truth, predicted = answers
    expected = metrics.confusion_matrix(truth, predicted, labels=range(CLASSES))
    found = count_confusions(truth, predicted, CLASSES)
    assert found.tolist() == expected.tolist()


def test_no_images_confuse_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert count_confusions(nothing, nothing, 2).tolist() == [[0, 0], [0, 0]]


def test_scores_of_classes_are_those_of_scikit_learn(
    answers: Answers,
) -> None:
    truth, predicted = answers
    names = [f"class {index}" for index in range(CLASSES)]
    found = score_classes(count_confusions(truth, predicted, CLASSES), names)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(CLASSES), zero_division=0
    )
    assert [score.name for score in found] == names
    assert [score.precision for score in found] == pytest.approx(precision)
    assert [score.recall.value for score in found] == pytest.approx(recall)
    assert [score.f1 for score in found] == pytest.approx(f1)
    assert [score.support for score in found] == support.tolist()
    hits = int(((truth == 1) & (predicted == 1)).sum())
    assert found[1].recall == estimate_proportion(hits, int((truth == 1).sum()))


def test_loss_and_probabilities_are_those_of_scikit_learn_and_scipy() -> None:
    rng = np.random.default_rng(6)
    logits = (3 * rng.normal(size=(200, CLASSES))).astype(np.float32)
    truth = rng.integers(0, CLASSES, 200)
    shares = special.softmax(logits.astype(np.float64), axis=1)
    assert compute_probabilities(logits) == pytest.approx(shares, rel=1e-9)
    expected = metrics.log_loss(truth, shares, labels=range(CLASSES))
    assert compute_loss(logits, truth) == pytest.approx(expected, rel=1e-6)


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[3e38, 0.0], [-3e38, 0.0]], np.float32)
    truth = np.array([0, 1])
    assert compute_loss(logits, truth) == 0
    assert compute_probabilities(logits).tolist() == [[1, 0], [0, 1]]
