import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.data.augment import draw_augmentation, flip_images, shift_images
from tellapart.data.loader import shuffle_order


def make_pixels(count: int, height: int = 16, width: int = 12, channels: int = 3) -> np.ndarray:
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_shifts_are_those_of_a_plain_loop(channels: int) -> None:
    pixels = make_pixels(9, channels=channels)
    shifts = np.array([(down, right) for down in (-2, 0, 2) for right in (-2, 1, 2)])
    moved = shift_images(pixels, shifts, 2)
    assert moved.shape == pixels.shape
    assert moved.dtype == np.uint8
    for number, (down, right) in enumerate(shifts):
        for row in range(16):
            for column in range(12):
                y, x = abs(row - down), abs(column - right)
                y, x = min(y, 30 - y), min(x, 22 - x)
                assert moved[number, row, column].tolist() == pixels[number, y, x].tolist()


def test_flips_mirror_the_chosen_and_keep_the_input() -> None:
    pixels = make_pixels(4)
    before = pixels.copy()
    flipped = flip_images(pixels, np.array([True, False, True, False]))
    np.testing.assert_array_equal(flipped[0], np.fliplr(before[0]))
    np.testing.assert_array_equal(flipped[1], before[1])
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", ["none", "shift", "flip-shift"])
def test_an_image_fares_alike_in_any_batch(name: str) -> None:
    pixels = make_pixels(40)
    drawn = draw_augmentation(name, 40, 16, seed=3, epoch=2)  # type: ignore[arg-type]
    together = drawn.apply(pixels, np.arange(40))
    order = shuffle_order(40, 0, 0)
    for size in (1, 7, 40):
        again = draw_augmentation(name, 40, 16, seed=3, epoch=2)  # type: ignore[arg-type]
        for at in range(0, 40, size):
            rows = order[at : at + size]
            np.testing.assert_array_equal(again.apply(pixels[rows], rows), together[rows])


def test_none_changes_nothing() -> None:
    pixels = make_pixels(3)
    drawn = draw_augmentation("none", 3, 16, 0, 0)
    np.testing.assert_array_equal(drawn.apply(pixels, np.arange(3)), pixels)


@given(st.integers(8, 64), st.integers(0, 2**65), st.integers(0, 100))
def test_shifts_stay_within_an_eighth(size: int, seed: int, epoch: int) -> None:
    drawn = draw_augmentation("shift", 200, size, seed, epoch)
    assert drawn.flips is None
    assert drawn.shifts is not None
    assert np.abs(drawn.shifts).max() <= max(1, size // 8)


def test_draws_are_uniform_and_differ_by_epoch_and_seed() -> None:
    drawn = draw_augmentation("flip-shift", 20_000, 32, 0, 0)
    assert drawn.flips is not None
    assert drawn.shifts is not None
    assert abs(drawn.flips.mean() - 0.5) < 0.02
    counts = np.bincount(drawn.shifts.ravel() + 4, minlength=9)
    assert abs(counts - 40_000 / 9).max() < 400
    for seed, epoch in ((0, 1), (1, 0)):
        other = draw_augmentation("flip-shift", 20_000, 32, seed, epoch)
        assert other.flips is not None
        assert 0.48 < (other.flips == drawn.flips).mean() < 0.52
