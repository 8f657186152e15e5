from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tellapart.metrics.ranking import Images, rank_candidates, take_cheapest
from tellapart.metrics.scores import Classes

from .truths import TRUTHS, Setting, draw_networks, judge, make_images


def miss(n: int, *wrong: int) -> Classes:
    """Return what a network makes of n images of class 0 that is wrong on the numbered ones."""
    found = np.zeros(n, np.int64)
    found[list(wrong)] = 1
    return found


@pytest.mark.parametrize(
    ("means", "taken"),
    [
        ((0.90, 0.955, 0.96), 1),
        ((0.94, 0.955, 0.96), 1),
        ((0.5, 0.5, 0.5), 0),
        ((0.985, 0.9885, 0.99), 1),  # a quarter of the mistakes of the best is 0.25 points
        ((0.99, 1.0, 1.0), 1),
        ((0.9, 1.02, 1.03), 2),  # as resamples may draw them
    ],
)
def test_the_cheapest_within_the_margin_is_taken(means: tuple[float, ...], taken: int) -> None:
    assert take_cheapest(np.array(means), 0.01, np.arange(3)) == taken


def test_of_equally_cheap_ones_the_best_is_taken() -> None:
    means = np.array([[0.955, 0.96, 0.95], [0.9, 0.91, 0.96]])
    assert take_cheapest(means, 0.01, np.array([1.0, 1.0, 2.0])).tolist() == [1, 2]


def test_the_interval_of_two_networks_is_that_of_paired_images() -> None:
    """Seeds agree, so that images alone are chance: Agresti and Min's variance is known."""
    n, b, c = 400, 40, 15
    first, second = miss(n, *range(b)), miss(n, *range(b, b + c))
    found = rank_candidates(make_images(n), [{0: first, 1: first}, {0: second, 1: second}])
    worse = found.candidates[0]
    assert worse.loss == pytest.approx((b - c) / n)
    error = math.sqrt((b + c + 1) - (b - c) ** 2 / n) / n
    assert worse.high - worse.loss == pytest.approx(1.96 * error, rel=0.06)
    assert worse.loss - worse.low == pytest.approx(1.96 * error, rel=0.06)
    assert found.taken == 1


def test_where_seeds_agree_images_are_the_limit() -> None:
    first, second = miss(400, *range(18)), miss(400, *range(18, 28))
    found = rank_candidates(make_images(400), [{0: first, 1: first}, {0: second, 1: second}])
    assert not found.firm and found.limit == "images"
    assert found.open == (0, 1)


def test_the_interval_of_lucky_seeds_is_students() -> None:
    """Each image is right or wrong for both sizes alike but for seeds, which dominate."""
    n, rng = 20_000, np.random.default_rng(0)
    accuracy = 0.6 + 0.02 * rng.standard_normal((2, 6))
    predicted = [
        {seed: miss(n, *range(round((1 - own[seed]) * n))) for seed in range(6)} for own in accuracy
    ]
    found = rank_candidates(make_images(n), predicted)
    worse = max(found.candidates, key=lambda one: one.loss)
    # the fit takes the luck that both have with a seed out: the paired t-test's spread
    paired = (accuracy[0] - accuracy[1]).std(ddof=1) / math.sqrt(6)
    assert worse.high - worse.loss == pytest.approx(stats.t.ppf(0.975, 5) * paired, rel=0.15)


def test_a_seed_that_all_share_says_nothing_of_sizes() -> None:
    n = 1000
    predicted = [
        {seed: miss(n, *range(start + 100 * seed)) for seed in range(3)} for start in (200, 260)
    ]
    found = rank_candidates(make_images(n), predicted)
    assert found.candidates[0].high < 0.001 < 0.05 < found.candidates[1].low


def test_candidates_that_share_no_seed_are_compared_as_they_are() -> None:
    n = 200
    first, second = miss(n, *range(40)), miss(n, *range(30))
    found = rank_candidates(make_images(n), [{0: first}, {1: second}])
    assert [one.score for one in found.candidates] == pytest.approx([0.8, 0.85])
    two = rank_candidates(make_images(n), [{0: first, 1: first}, {2: second, 3: second}])
    assert [one.score for one in two.candidates] == pytest.approx([0.8, 0.85])
    assert two.candidates[0].low > 0


def test_equal_networks_may_yet_differ_by_as_much_as_few_images_hide() -> None:
    n = 18
    found = rank_candidates(make_images(n), [{0: miss(n), 1: miss(n)}] * 2)
    assert found.taken == 0
    assert 0.05 < found.candidates[1].high < 0.2
    assert [one.low for one in found.candidates] == [0, 0]


def test_a_seed_far_off_is_named_and_left_out() -> None:
    rng = np.random.default_rng(5)
    predicted = draw_networks(TRUTHS["saturating"], Setting(1000, 3, 0.004), rng)
    clean = rank_candidates(make_images(1000), predicted)
    assert not clean.far
    predicted[5][1] = miss(1000, *range(850))
    found = rank_candidates(make_images(1000), predicted)
    assert [(one.place, one.seed) for one in found.far] == [(5, 1)]
    assert found.far[0].score == pytest.approx(0.15)
    assert found.taken == pytest.approx(clean.taken, abs=1)
    assert found.candidates[5].score == pytest.approx(clean.candidates[5].score, abs=0.02)


def test_where_all_are_right_one_mistake_is_not_far_off() -> None:
    predicted = [{seed: miss(300) for seed in range(3)} for _ in range(5)]
    predicted[2][1] = miss(300, 7)
    assert not rank_candidates(make_images(300), predicted).far
    predicted[2][1] = miss(300, *range(60))
    assert len(rank_candidates(make_images(300), predicted).far) == 1


def test_with_one_seed_nothing_is_firm() -> None:
    n = 500
    found = rank_candidates(make_images(n), [{0: miss(n, *range(200))}, {0: miss(n)}])
    assert (found.taken, found.firm, found.limit) == (1, False, "seeds")
    only = rank_candidates(make_images(n), [{0: miss(n)}])
    assert only.taken == 0 and only.candidates[0].picked == 1


def test_images_of_one_group_count_once() -> None:
    """Ten copies of each image tell as much as the image."""
    rng = np.random.default_rng(2)
    drawn = draw_networks((0.6, 0.66), Setting(100, 1, 0.0), rng)
    predicted = [{0: own[0], 1: own[0]} for own in drawn]
    once = rank_candidates(make_images(100), predicted)
    copies = [{seed: own.repeat(10) for seed, own in one.items()} for one in predicted]
    groups = np.arange(100).repeat(10)
    grouped = rank_candidates(Images(np.zeros(1000, np.int64), 2, groups=groups), copies)
    alone = rank_candidates(make_images(1000), copies)
    width = [
        found.candidates[0].high - found.candidates[0].loss for found in (once, grouped, alone)
    ]
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert width[2] < 0.6 * width[1]


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_sizes_are_ranked_by_the_metric(metric: str) -> None:
    """The second is right more often, and finds no image of the rare class."""
    truth = np.array([0] * 180 + [1] * 20)
    fair, common = truth.copy(), np.zeros(200, np.int64)
    fair[:30] = 1
    by_accuracy = rank_candidates(Images(truth, 2), [{0: fair, 1: fair}, {0: common, 1: common}])
    found = rank_candidates(Images(truth, 2, metric), [{0: fair, 1: fair}, {0: common, 1: common}])
    assert (by_accuracy.best, found.best) == (1, 0)
    assert found.candidates[1].low > 0


def test_an_answer_holds_against_a_known_truth() -> None:
    truth = TRUTHS["strong optimum"]
    found = judge(truth, draw_networks(truth, Setting(2000, 3, 0.003), np.random.default_rng(7)))
    assert found.covered and found.within and not found.slandered
