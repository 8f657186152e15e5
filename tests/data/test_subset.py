from __future__ import annotations

import numpy as np
import pytest

from tellapart.data import load_images
from tellapart.data.split import make_split
from tellapart.data.subset import take_share


def test_shares_are_nested_and_stratified() -> None:
    digits = load_images("digits")
    rows = make_split(digits).train
    whole = np.bincount(digits.labels[rows])
    before: set[int] = set()
    for share in (0.05, 0.25, 0.5, 1.0):
        part = take_share(digits, rows, share, seed=3)
        assert before < set(part.tolist()) <= set(rows.tolist())
        assert part.tolist() == sorted(part.tolist())
        counts = np.bincount(digits.labels[part])
        assert counts.tolist() == np.ceil(share * whole - 1e-9).astype(int).tolist()
        before = set(part.tolist())
    assert before == set(rows.tolist())


def test_another_seed_takes_other_images_and_the_order_of_rows_has_no_say() -> None:
    digits = load_images("digits")
    rows = make_split(digits).train
    one = take_share(digits, rows, 0.2, seed=0)
    other = take_share(digits, rows, 0.2, seed=1)
    assert len(one) == len(other)
    assert set(one.tolist()) != set(other.tolist())
    assert take_share(digits, rows[::-1], 0.2, seed=0).tolist() == one.tolist()


def test_the_smallest_share_has_every_class() -> None:
    digits = load_images("digits")
    part = take_share(digits, make_split(digits).train, 1e-4, seed=0)
    assert sorted(digits.labels[part].tolist()) == list(range(10))


def test_a_share_is_above_0_and_at_most_1() -> None:
    digits = load_images("digits")
    with pytest.raises(AssertionError):
        take_share(digits, np.arange(10), 0.0, seed=0)
