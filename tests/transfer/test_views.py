"""Views: what is done to an image follows from the image, its number and the seed alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tellapart.data.dataset import ArraySource, Dataset
from tellapart.errors import SettingError
from tellapart.transfer.views import PLAIN, View, list_views, read_view

ROWS = np.arange(40)
NOTEBOOK = "flip+shift+rotation+zoom"


def test_the_plain_view_is_the_image_itself(digits: Dataset) -> None:
    assert np.array_equal(read_view(digits, ROWS, 8, PLAIN), digits.source.read(ROWS))


def test_a_view_is_the_same_each_time_and_another_for_each_number_and_seed(
    digits: Dataset,
) -> None:
    first = read_view(digits, ROWS, 8, View(1, NOTEBOOK))
    assert first.dtype == np.uint8 and first.shape == digits.source.read(ROWS).shape
    assert np.array_equal(first, read_view(digits, ROWS, 8, View(1, NOTEBOOK)))
    plain = digits.source.read(ROWS)
    for other in (plain, *(read_view(digits, ROWS, 8, View(n, NOTEBOOK, s)) for n, s in
                           ((2, 0), (1, 1)))):  # fmt: skip
        assert (first != other).any(axis=(1, 2, 3)).mean() > 0.9


def test_an_image_is_shown_alike_in_any_company(digits: Dataset) -> None:
    view = View(1, NOTEBOOK)
    together = read_view(digits, ROWS, 8, view)
    for row in (0, 7, 39):
        assert np.array_equal(
            together[row : row + 1], read_view(digits, ROWS[row : row + 1], 8, view)
        )
    assert isinstance(digits.source, ArraySource)
    moved = dataclasses.replace(
        digits,
        source=ArraySource(digits.source.pixels[5:]),
        hashes=digits.hashes[5:],
        labels=digits.labels[5:],
        roles=digits.roles[5:],
    )
    assert np.array_equal(together[5:], read_view(moved, ROWS[:-5], 8, view))


def test_two_views_that_flip_show_both_sides(digits: Dataset) -> None:
    one, two = (read_view(digits, ROWS, 8, View(number, "flip")) for number in (1, 2))
    assert np.array_equal(one, two[:, :, ::-1])
    plain = digits.source.read(ROWS)
    mirrored = (one != plain).any(axis=(1, 2, 3)).mean()
    assert 0.2 < mirrored < 0.8


def test_what_changes_a_label_is_refused() -> None:
    with pytest.raises(SettingError, match="got mixup"):
        list_views(2, "flip+mixup", 0)
    with pytest.raises(SettingError, match="--views 2 needs an augmentation"):
        list_views(2, "none", 0)
    assert list_views(0, "none", 0) == (PLAIN,)
    assert [view.number for view in list_views(2, "flip", 3)] == [0, 1, 2]
