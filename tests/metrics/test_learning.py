from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize

from tellapart.metrics.learning import Gain, fit_curve, foresee, foresee_gain

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


def test_the_images_that_an_accuracy_takes_are_read_off_the_curve() -> None:
    curve = fit_curve(IMAGES, law(np.array(IMAGES, float), 0.5, 0.1))
    assert curve.predict(curve.reach(0.85)) == pytest.approx(0.85)
    assert curve.reach(0.95) == float("inf")
    flat = fit_curve(IMAGES, [0.7] * 5)
    assert flat.reach(0.6) == pytest.approx(0)
    assert flat.reach(0.8) == float("inf")


def find_gain(groups: Sequence[Sequence[float]], images: Sequence[float] = IMAGES) -> Gain:
    seen = foresee(images, groups)
    assert seen is not None and seen.gain is not None
    return seen.gain


def draw_groups(
    rng: np.random.Generator, power: float, floor: float, spread: float
) -> list[list[float]]:
    truth = np.array(law(np.array(IMAGES, float), power, floor))
    by_size = spread * (np.array(IMAGES) / IMAGES[-1]) ** -0.25
    drawn: list[list[float]] = rng.normal(truth, by_size, (3, 5)).T.tolist()
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize(("power", "floor"), [(0.3, 0.05), (0.6, 0.1)])
def test_the_interval_of_the_gain_holds_the_truth(power: float, floor: float) -> None:
    rng = np.random.default_rng(7)
    now, then = law(np.array([4000.0, 8000.0]), power, floor)
    held, repeats = 0, 0
    for _ in range(40):
        seen = foresee(IMAGES, draw_groups(rng, power, floor, 0.004))
        if seen is None or seen.gain is None:
            continue
        gain = seen.gain
        repeats += 1
        assert gain.low <= gain.value <= gain.high
        held += gain.low <= then - now <= gain.high
    assert repeats >= 34 and held / repeats >= 0.9


def test_too_little_is_said_to_be_too_little() -> None:
    assert foresee(IMAGES[:3], [[0.5, 0.51]] * 3) is None
    assert foresee(IMAGES, [[0.5], [0.6], [0.65], [0.7], [0.72]]) is None


@pytest.mark.parametrize("accuracy", [0.0, 0.9, 1.0])
def test_equal_accuracies_are_a_flat_curve_and_no_gain(accuracy: float) -> None:
    curve = fit_curve(IMAGES, [accuracy] * 5)
    assert (curve.floor, curve.scale) == pytest.approx((1 - accuracy, 0))
    gain = find_gain([[accuracy] * 2] * 5)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0, 0, 0))


def test_one_size_is_a_flat_curve_and_no_size_has_no_gain() -> None:
    assert fit_curve([100], [0.7]).predict(200) == pytest.approx(0.7)
    assert fit_curve([100, 100, 100], [0.6, 0.7, 0.8]).predict(200) == pytest.approx(0.7)
    assert foresee([], []) is None


def test_what_is_no_power_law_is_not_foreseen() -> None:
    """Log-logistic: all is learnt from the first quarter on, which a power law does not do."""
    rng = np.random.default_rng(1)
    truth = 0.1 + 0.85 / (1 + (8 * np.array(IMAGES) / 4000) ** -1.2)
    refused = 0
    for _ in range(10):
        groups = rng.normal(truth, 0.003, (3, 5)).T.tolist()
        seen = foresee(IMAGES, groups)
        refused += seen is not None and seen.gain is None
    assert refused >= 8


def test_accuracies_take_images_with_an_interval() -> None:
    groups = draw_groups(np.random.default_rng(2), 0.5, 0.05, 0.002)
    seen = foresee(IMAGES, groups, accuracies=(0.86, 0.99))
    assert seen is not None
    near, far = seen.needs
    truth = 4000 * (0.12 / 0.09) ** 2
    assert near.low is not None and near.high is not None
    assert near.low < truth < near.high
    assert far.high is None
    curve = fit_curve(IMAGES, [float(np.mean(one)) for one in groups])
    assert find_gain(groups).value == pytest.approx(foresee_gain(curve, 2), abs=0.004)
