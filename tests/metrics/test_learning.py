from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from tellapart.metrics.learning import fit_curve, foresee_gain

IMAGES = (250, 500, 1000, 2000, 4000)


def law(
    images: np.ndarray[tuple[int], np.dtype[np.float64]], power: float, floor: float
) -> list[float]:
    found: list[float] = (1 - floor - 0.12 * (images / 4000) ** -power).tolist()
    return found


@pytest.mark.parametrize(("power", "floor"), [(0.3, 0.1), (0.5, 0.0), (1.0, 0.2)])
def test_a_power_law_is_found_again(power: float, floor: float) -> None:
    curve = fit_curve(IMAGES, law(np.array(IMAGES, float), power, floor))
    assert curve.power == pytest.approx(power, abs=0.02)
    assert curve.floor == pytest.approx(floor, abs=0.01)
    assert curve.predict(8000) == pytest.approx(law(np.array([8000.0]), power, floor)[0], abs=1e-3)


def test_the_fit_is_scipys() -> None:
    rng = np.random.default_rng(5)
    x = np.array(IMAGES, float)
    y = np.array(law(x, 0.4, 0.1)) + rng.normal(0, 0.003, 5)
    found, _ = optimize.curve_fit(
        lambda n, a, b, c: 1 - a - b * (n / 4000) ** -c,
        x,
        y,
        p0=(0.1, 0.1, 0.5),
        bounds=((0, 0, 0.05), (1, 1, 2)),
    )
    curve = fit_curve(IMAGES, y.tolist())
    mine = [curve.predict(n) for n in IMAGES]
    theirs = 1 - found[0] - found[1] * (x / 4000) ** -found[2]
    assert np.square(y - mine).sum() <= np.square(y - theirs).sum() * 1.001
    assert mine == pytest.approx(theirs.tolist(), abs=1e-3)


def test_where_more_data_brought_nothing_the_curve_is_flat() -> None:
    curve = fit_curve(IMAGES, [0.7, 0.71, 0.69, 0.7, 0.695])
    assert curve.predict(8000) == pytest.approx(curve.predict(4000), abs=0.005)


def draw_groups(
    rng: np.random.Generator, power: float, floor: float, spread: float
) -> list[list[float]]:
    truth = np.array(law(np.array(IMAGES, float), power, floor))
    drawn: list[list[float]] = rng.normal(truth, spread, (3, 5)).T.tolist()
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize(("power", "floor"), [(0.3, 0.05), (0.6, 0.1)])
def test_the_interval_of_the_gain_holds_the_truth(power: float, floor: float) -> None:
    rng = np.random.default_rng(7)
    now, then = law(np.array([4000.0, 8000.0]), power, floor)
    held, repeats = 0, 40
    for _ in range(repeats):
        gain = foresee_gain(IMAGES, draw_groups(rng, power, floor, 0.004))
        assert gain is not None
        assert gain.low <= gain.value <= gain.high
        held += gain.low <= then - now <= gain.high
    assert held / repeats >= 0.9


def test_too_little_is_said_to_be_too_little() -> None:
    assert foresee_gain(IMAGES[:3], [[0.5, 0.51]] * 3) is None
    assert foresee_gain(IMAGES, [[0.5], [0.6], [0.65], [0.7], [0.72]]) is None


@pytest.mark.parametrize("accuracy", [0.0, 0.9, 1.0])
def test_equal_accuracies_are_a_flat_curve_and_no_gain(accuracy: float) -> None:
    curve = fit_curve(IMAGES, [accuracy] * 5)
    assert (curve.floor, curve.scale) == pytest.approx((1 - accuracy, 0))
    gain = foresee_gain(IMAGES, [[accuracy] * 2] * 5)
    assert gain is not None
    assert (gain.value, gain.low, gain.high) == pytest.approx((0, 0, 0))


def test_one_size_is_a_flat_curve_and_no_size_has_no_gain() -> None:
    assert fit_curve([100], [0.7]).predict(200) == pytest.approx(0.7)
    assert fit_curve([100, 100, 100], [0.6, 0.7, 0.8]).predict(200) == pytest.approx(0.7)
    assert foresee_gain([], []) is None
