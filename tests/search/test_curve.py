from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from tellapart.metrics.layout import fit_layout
from tellapart.metrics.learning import Curve, fit_curve
from tellapart.search import curve as curves
from tellapart.search.curve import draw_curve, find_size, follow_curve
from tellapart.search.standing import Standing

SIZES = (16, 32, 64, 128, 256, 512)
RISING = np.array([0.50, 0.55, 0.59, 0.61, 0.625, 0.635])


def draw(means: np.ndarray, chance: float, seeds: int = 3, key: int = 5) -> list[dict[int, float]]:
    table = np.random.default_rng(key).normal(means, chance, (seeds, len(means)))
    return [dict(enumerate(column)) for column in table.T.tolist()]


def test_the_curve_is_that_of_scipys_least_squares() -> None:
    fit = fit_layout(draw(RISING, 0.004))
    curve = draw_curve(SIZES, fit)
    assert curve is not None
    x = np.array(SIZES) / SIZES[-1]
    found, _ = optimize.curve_fit(
        lambda x, floor, scale, power: 1 - floor - scale * x**-power,
        x, fit.means, p0=(0.3, 0.05, 0.5),
    )  # fmt: skip
    assert (curve.floor, curve.scale, curve.power) == pytest.approx(tuple(found), abs=2e-3)


def test_whether_it_fits_is_the_f_test_of_lack_of_fit() -> None:
    """By hand, for as many seeds of each size: n times the squares left of the means."""
    groups = draw(RISING, 0.004)
    fit = fit_layout(groups)
    curve = draw_curve(SIZES, fit)
    assert curve is not None
    table = np.array([[group[seed] for seed in range(3)] for group in groups])
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    pure = np.square(rest).sum() / (5 * 2)
    left = table.mean(1) - [curve.predict(size) for size in SIZES]
    p = float(stats.f.sf(3 * np.square(left).sum() / 3 / pure, 3, 10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "MISFIT", p + 1e-6)
        assert draw_curve(SIZES, fit) is None
        patch.setattr(curves, "MISFIT", p - 1e-6)
        assert draw_curve(SIZES, fit) is not None


def test_a_true_curve_is_kept_as_often_as_the_test_says() -> None:
    truth = 0.66 - 0.05 * (np.array(SIZES) / SIZES[-1]) ** -0.35
    kept = sum(
        draw_curve(SIZES, fit_layout(draw(truth, 0.006, key=key))) is not None for key in range(400)
    )
    assert 0.80 - 0.04 <= kept / 400 <= 0.88


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        (SIZES[:4], draw(RISING[:4], 0.004)),
        (SIZES, draw(RISING, 0.004, seeds=1)),
        (SIZES, [{0: mean, 1: mean} for mean in RISING]),
        (SIZES, draw(RISING[::-1], 0.004)),
        (SIZES, draw(np.array([0.4, 0.5, 0.6, 0.7, 0.6, 0.5]), 0.004)),
    ],
    ids=["few sizes", "one seed", "no chance", "falling", "a peak"],
)
def test_where_none_can_be_drawn_there_is_none(
    sizes: tuple[int, ...], groups: list[dict[int, float]]
) -> None:
    assert draw_curve(sizes, fit_layout(groups)) is None


def test_a_failed_seed_does_not_keep_a_curve_from_being_drawn() -> None:
    groups = draw(RISING, 0.004)
    del groups[2][1]
    assert draw_curve(SIZES, fit_layout(groups)) is not None


def test_the_size_found_loses_just_the_limit() -> None:
    curve = Curve(floor=0.3, scale=0.05, power=0.4, largest=512.0)
    size = find_size(curve, 0.02)
    assert curve.predict(512) - curve.predict(size) == pytest.approx(0.02)


def test_sizes_with_more_seeds_count_for_more() -> None:
    groups = draw(RISING, 0.004)
    groups[0] |= {seed: 0.52 + 0.001 * seed for seed in range(3, 12)}
    fit = fit_layout(groups)
    curve = draw_curve(SIZES, fit)
    assert curve is not None
    x = np.array(SIZES) / SIZES[-1]
    found, _ = optimize.curve_fit(
        lambda x, floor, scale, power: 1 - floor - scale * x**-power,
        x, fit.means, p0=(0.3, 0.05, 0.5), sigma=np.sqrt(np.diag(fit.weights)),
    )  # fmt: skip
    assert (curve.floor, curve.scale, curve.power) == pytest.approx(tuple(found), abs=2e-3)
    plain = fit_curve(SIZES, fit.means)
    assert plain.predict(16) != pytest.approx(curve.predict(16), abs=1e-4)


def test_a_size_is_worse_where_it_is_told_and_below_what_is_enough() -> None:
    told = Standing(behind=0.021, chance=0.01, worse=False, near=False)
    unsure = Standing(behind=0.021, chance=0.03, worse=False, near=False)
    near = Standing(behind=0.005, chance=0.01, worse=False, near=True)
    best = Standing(behind=0.0, chance=0.0, worse=False, near=True)
    sizes = (16, 32, 64)
    for first, second, enough, tied in (
        (told, near, 30.0, [False, True, True]),
        (told, told, 32.0, [False, True, True]),
        (told, told, 33.0, [False, False, True]),
        (unsure, told, 20.0, [True, True, True]),
        (told, near, 40.0, [False, True, True]),
    ):
        found = follow_curve([first, second, best], sizes, enough)
        assert [one.tied for one in found] == tied
