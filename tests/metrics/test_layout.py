from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tellapart.metrics.layout import fit_layout


def test_a_whole_table_has_the_textbooks_residuals() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(0.6, 0.02, (5, 4)) + rng.normal(0, 0.05, 4) + rng.normal(0, 0.05, (5, 1))
    fit = fit_layout([dict(enumerate(row)) for row in table.tolist()])
    left = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    assert fit.means == pytest.approx(table.mean(1).tolist())
    assert fit.freedom == 4 * 3
    assert fit.spread == pytest.approx(math.sqrt(np.square(left).sum() / 12))
    assert fit.scale_error(0, 3) == pytest.approx(math.sqrt(2 / 4))


def test_two_sizes_make_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.6, 0.02, (2, 6)).tolist()
    fit = fit_layout([dict(enumerate(first)), dict(enumerate(second))])
    t = (fit.means[1] - fit.means[0]) / (fit.spread * fit.scale_error(0, 1))
    oracle = stats.ttest_rel(second, first)
    assert t == pytest.approx(oracle.statistic)
    assert fit.freedom == oracle.df


def test_a_table_with_holes_is_the_least_squares_fit() -> None:
    rng = np.random.default_rng(4)
    groups = [
        {seed: float(rng.normal()) for seed in seeds}
        for seeds in ((0, 1, 2, 3, 4), (0, 1, 2), (0, 1, 3, 4))
    ]
    cells = [(size, seed) for size, group in enumerate(groups) for seed in group]
    dummies = np.zeros((12, 7))  # three sizes, and seeds 1 to 4 against seed 0
    for row, (size, seed) in enumerate(cells):
        dummies[row, size] = 1
        if seed:
            dummies[row, 2 + seed] = 1
    values = np.array([groups[size][seed] for size, seed in cells])
    found, residuals, rank, _ = np.linalg.lstsq(dummies, values)
    fit = fit_layout(groups)
    assert rank == 7
    assert fit.freedom == 12 - 7
    assert fit.spread == pytest.approx(math.sqrt(residuals[0] / 5))
    assert fit.means[1] - fit.means[0] == pytest.approx(found[1] - found[0])
    covariance = np.linalg.inv(dummies.T @ dummies)
    contrast = np.zeros(7)
    contrast[[1, 2]] = (1, -1)
    assert fit.scale_error(1, 2) == pytest.approx(math.sqrt(contrast @ covariance @ contrast))


def test_one_seed_measures_no_chance() -> None:
    fit = fit_layout([{0: 0.5}, {0: 0.6}])
    assert fit.freedom == 0
    assert math.isnan(fit.spread)
    assert fit.means == pytest.approx((0.5, 0.6))
