from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from sklearn import metrics

from tellapart.errors import SettingError
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import (
    SCORES,
    Score,
    compute_loss,
    compute_probabilities,
    count_confusions,
    estimate_score,
    find_hardest,
    score_accuracy,
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
    assert [score.precision.value for score in found] == pytest.approx(precision)
    assert [score.recall.value for score in found] == pytest.approx(recall)
    assert [score.f1.value for score in found] == pytest.approx(f1)
    assert [score.support for score in found] == support.tolist()
    hits = int(((truth == 1) & (predicted == 1)).sum())
    assert found[1].recall == estimate_proportion(hits, int((truth == 1).sum()))


def test_a_class_is_hardest_where_it_stands_out() -> None:
    confusion = np.full((4, 4), 1) + np.diag([46, 47, 45, 46])
    names = ("cat", "dog", "hen", "owl")
    assert find_hardest(confusion, names) is None
    confusion[2] = (1, 14, 34, 0)
    found = find_hardest(confusion, names)
    assert found is not None
    assert (found.name, found.taken_for) == ("hen", "dog")
    assert found.recall == estimate_proportion(34, 49)
    confusion[2] = (5, 5, 34, 5)
    found = find_hardest(confusion, names)
    assert found is not None and found.taken_for == ""


def test_of_copies_no_class_is_hardest() -> None:
    rng = np.random.default_rng(4)
    named = 0
    for _ in range(200):
        hits = 10 * rng.binomial(15, 0.8, 4)  # ten copies of each picture
        confusion = np.diag(hits) + np.roll(np.diag(150 - hits), 1, 1)
        named += find_hardest(confusion, "abcd", 0.1) is not None
    assert named / 200 <= 0.06
    rows = score_classes(confusion, "abcd", 0.1)
    assert rows[0].recall == estimate_proportion(int(hits[0]), 150, 0.1)
    few = estimate_proportion(int(hits[0]) // 10, 15)
    assert (rows[0].recall.low, rows[0].recall.high) == pytest.approx((few.low, few.high))


@pytest.mark.parametrize(("count", "support", "recall"), [(10, 27, 0.97), (20, 10, 0.9)])
def test_of_equal_classes_none_is_hardest(count: int, support: int, recall: float) -> None:
    rng = np.random.default_rng(4)
    named = 0
    for _ in range(400):
        hits = rng.binomial(support, recall, count)
        confusion = np.zeros((count, count), np.int64)
        confusion[np.arange(count), np.arange(count)] = hits
        confusion[np.arange(count), np.arange(count) - 1] = support - hits
        named += find_hardest(confusion, [str(one) for one in range(count)]) is not None
    assert named / 400 <= 0.06


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


THEIRS = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "macro_f1": lambda truth, predicted: metrics.f1_score(
        truth, predicted, average="macro", zero_division=0
    ),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_that_of_scikit_learn_with_an_interval_about_it(
    name: str, answers: Answers
) -> None:
    truth, predicted = answers
    found = estimate_score(name, truth, predicted, CLASSES)
    assert found.value == pytest.approx(THEIRS[name](truth, predicted))
    assert found.low < found.value < found.high
    assert found.n == len(truth)
    assert estimate_score(name, truth, predicted, CLASSES) == found
    perfect = estimate_score(name, truth, truth, CLASSES)
    assert perfect.value == 1.0
    assert estimate_score(name, truth[:0], truth[:0], CLASSES).n == 0


def test_the_interval_of_accuracy_is_wilsons(answers: Answers) -> None:
    truth, predicted = answers
    hits = int((truth == predicted).sum())
    found = estimate_score("accuracy", truth, predicted, CLASSES)
    assert found == estimate_proportion(hits, len(truth))


def test_the_bootstrap_is_that_over_images(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of accuracy the bootstrap's distribution is known: hits are binomial."""
    monkeypatch.setitem(SCORES, "toy", Score("toy", score_accuracy))
    truth, predicted = answers
    found = estimate_score("toy", truth, predicted, CLASSES)
    low, high = stats.binom(len(truth), found.value).interval(0.95)
    assert found.low == pytest.approx(low / len(truth), abs=0.01)
    assert found.high == pytest.approx(high / len(truth), abs=0.01)


def test_an_unknown_metric_is_refused_with_the_nearest(answers: Answers) -> None:
    said = "metric must be one of accuracy, .* got 'ballanced_accuracy'; did you mean 'balanced"
    with pytest.raises(SettingError, match=said):
        estimate_score("ballanced_accuracy", *answers, CLASSES)
