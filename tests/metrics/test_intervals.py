from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tellapart.metrics.intervals import (
    average_estimates,
    compare_shares,
    count_effective,
    estimate_proportion,
    estimate_share,
    pool_spread,
)
from tellapart.records import Estimate

Z = stats.norm.ppf(0.975)


def wilson(p: float, n: int) -> tuple[float, float]:
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (1, 1), (0, 50), (25, 50), (269, 270), (7541, 10_000)]
)
def test_a_proportion_has_wilsons_interval(hits: int, n: int) -> None:
    found = estimate_proportion(hits, n)
    assert found.value == hits / n
    assert found.n == n
    assert (found.low, found.high) == pytest.approx(wilson(hits / n, n), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_no_images_say_nothing() -> None:
    found = estimate_proportion(0, 0)
    assert (found.value, found.low, found.high, found.n) == (0, 0, 1, 0)


def test_the_pooled_spread_is_the_residual_of_a_fit_of_group_means() -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(mean, 2.0, size).tolist() for mean, size in ((0, 3), (5, 1), (9, 4))]
    group = np.repeat([0, 1, 2], [3, 1, 4])
    values = np.concatenate(groups)
    residuals = np.linalg.lstsq(np.eye(3)[group], values)[1]
    spread, freedom = pool_spread(groups)
    assert freedom == 8 - 3
    assert spread == pytest.approx(math.sqrt(residuals[0] / 5))


def test_single_values_have_no_spread() -> None:
    spread, freedom = pool_spread([[0.5], [0.7]])
    assert math.isnan(spread)
    assert freedom == 0


def average(values: list[float], n: int, spread: float, freedom: int) -> Estimate:
    parts = [estimate_proportion(round(value * n), n) for value in values]
    return average_estimates(parts, spread, freedom)


def test_one_seed_gives_the_interval_of_the_images() -> None:
    found = average([0.72], 1000, math.nan, 0)
    assert found == estimate_proportion(720, 1000)


def test_without_images_chance_it_is_students_interval() -> None:
    values = [0.61, 0.64, 0.70, 0.66]
    spread, freedom = pool_spread([values])
    found = average(values, 10**9, spread, freedom)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_perfect_seeds_are_not_certain() -> None:
    found = average([1.0, 1.0, 1.0], 270, 0.0, 2)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(wilson(1, 270)[0])


def test_a_mean_stays_within_bounds() -> None:
    found = average([1.0, 0.9], 10, 0.07, 1)
    assert found.high == 1
    assert found.low >= 0


@pytest.mark.parametrize(
    ("ease", "n"), [((4.0, 2.0), 400), ((0.2, 0.004), 270), ((40.0, 0.3), 270)]
)
def test_a_mean_covers_the_truth(ease: tuple[float, float], n: int) -> None:
    """Images differ in difficulty, seeds in luck, and all seeds see the same images."""
    rng = np.random.default_rng(11)
    seeds, sizes, repeats = 3, 5, 600
    truth = ease[0] / (ease[0] + ease[1])
    covered = 0
    for _ in range(repeats):
        chance = rng.beta(*ease, n)
        luck = rng.normal(0, 0.01, (sizes, seeds, 1)) * min(1.0, 40 * truth * (1 - truth))
        right = rng.random((sizes, seeds, n)) < np.clip(chance + luck, 0, 1)
        groups = right.mean(2).tolist()
        found = average(groups[0], n, *pool_spread(groups))
        covered += found.low <= truth <= found.high
    assert covered / repeats >= 0.93


def test_copies_count_as_one_image() -> None:
    right = np.random.default_rng(1).random(200) < 0.7
    copies = np.arange(200).repeat(4)
    found = estimate_share(right.repeat(4), copies)
    low, high = wilson(right.mean(), 200)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)
    assert (found.value, found.n) == (right.mean(), 800)
    assert count_effective(right.repeat(4), copies) == pytest.approx(200, rel=0.03)


def test_images_that_are_alone_are_all_independent() -> None:
    right = np.random.default_rng(1).random(90) < 0.7
    assert count_effective(right, np.arange(90)) == 90
    assert estimate_share(right, np.arange(90)) == estimate_share(right)
    assert estimate_share(right) == estimate_proportion(int(right.sum()), 90)


def test_where_all_are_right_groups_count() -> None:
    groups = np.arange(12).repeat(10)
    assert count_effective(np.ones(120, bool), groups) == 12
    assert count_effective(np.arange(120) < 60, np.zeros(120, np.int64)) == 1
    found = estimate_share(np.ones(120, bool), groups)
    assert found.low == pytest.approx(wilson(1, 12)[0])


@pytest.mark.parametrize(
    ("first", "second"), [((26, 30), (327, 380)), ((20, 30), (327, 380)), ((0, 9), (5, 7))]
)
def test_two_shares_are_compared_by_campbells_chi_squared(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    table = [[hits, of - hits] for hits, of in (first, second)]
    n = first[1] + second[1]
    chi = stats.chi2_contingency(table, correction=False).statistic * (n - 1) / n
    assert compare_shares(first, second) == pytest.approx(stats.chi2.sf(chi, 1))
    assert compare_shares(second, first) == pytest.approx(compare_shares(first, second))


def test_shares_of_which_all_or_none_hit_do_not_differ() -> None:
    assert compare_shares((3, 3), (9, 9)) == compare_shares((0, 3), (0, 9)) == 1
