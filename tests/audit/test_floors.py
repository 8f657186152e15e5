"""Answers without a network, against others' programs and known truths."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tellapart.audit import Looked
from tellapart.audit.floors import COLOURS, COMMONEST, NEAREST, count_colours, measure_floors
from tellapart.data.dataset import ArraySource, Dataset, hash_pixels
from tellapart.data.split import Split, make_split


def make_set(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], classes: int) -> Dataset:
    count = len(pixels)
    return Dataset(
        "made", "made", tuple("abcdef"[:classes]), np.arange(count) % classes, ArraySource(pixels),
        hash_pixels(pixels), ("",) * count, pixels.shape[1], "", pixels.shape[3], {}, {},
    )  # fmt: skip


def test_the_digits_nearest_neighbour_is_scikit_learns(
    digits: Dataset, digits_split: Split
) -> None:
    found = measure_floors(Looked(digits, digits_split))
    pixels = digits.source.read(np.arange(len(digits))).reshape(len(digits), -1).astype(float)
    model = KNeighborsClassifier(1).fit(
        pixels[digits_split.train], digits.labels[digits_split.train]
    )
    expected = model.score(pixels[digits_split.val], digits.labels[digits_split.val])
    assert found[NEAREST].value == pytest.approx(expected, abs=0.01)
    assert found[COMMONEST].value == pytest.approx(27 / 269)
    assert found[COMMONEST].value < found[COLOURS].value < found[NEAREST].value


def test_classes_of_colours_are_told_by_them() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 120, (300, 32, 32, 3), np.uint8)
    pixels[np.arange(300), :, :, np.arange(300) % 3] += 100
    dataset = make_set(pixels, 3)
    found = measure_floors(Looked(dataset, make_split(dataset)))
    assert found[COLOURS].value == 1.0
    assert found[COMMONEST].value == pytest.approx(1 / 3, abs=0.02)


def test_noise_is_told_by_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 16, 16, 1), np.uint8)
    dataset = make_set(pixels, 3)
    for name, found in measure_floors(Looked(dataset, make_split(dataset))).items():
        assert found.low <= 1 / 3 <= found.high, name


def test_colours_are_counted() -> None:
    thumbs = np.zeros((1, 32, 32, 3), np.uint8)
    thumbs[0, :16] = (255, 0, 64)
    shares = np.square(count_colours(thumbs))[0]
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(0.5) and shares[3 + 16 * 1] == pytest.approx(0.5)
    grey = np.square(count_colours(np.full((1, 32, 32, 1), 255, np.uint8)))[0]
    assert grey.tolist() == [0.0] * 15 + [1.0]
