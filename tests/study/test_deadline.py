from __future__ import annotations

import math
import time
from itertools import pairwise

import pytest

from tellapart.study.deadline import (
    CAREFUL,
    FINISH,
    Deadline,
    NoTime,
    Trainings,
    choose_fitting,
    list_cuts,
    shorten,
)

WHOLE = Trainings((8, 16, 32, 64, 128), 3, 12)


def count(some: Trainings) -> float:
    return some.seeds * some.epochs * some.share * sum(some.sizes)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> float:
    """A clock that stands still."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    return 100.0


def test_a_share_is_of_what_is_left(stopped: float) -> None:
    deadline = Deadline(stopped + 60)
    assert deadline.left() == 60 and not deadline.is_over()
    assert deadline.take(0.25).end == stopped + 15
    assert Deadline(stopped - 1).left() == 0 and Deadline(stopped - 1).is_over()
    assert Deadline(stopped - 1).take(0.5).end == stopped
    assert Deadline(stopped - 1).take(0.5, 7).end == stopped + 7


def test_without_a_deadline_there_is_no_end() -> None:
    assert Deadline().left() == math.inf
    assert not Deadline().is_over()
    assert Deadline().take(0.1) == Deadline()


def test_less_is_given_up_first_of_what_matters_least() -> None:
    order = [
        name
        for before, after in pairwise(shorten(WHOLE))
        for name in ("epochs", "sizes", "seeds", "share")
        if getattr(before, name) != getattr(after, name)
    ]
    assert list(dict.fromkeys(order)) == ["epochs", "seeds", "sizes", "share"]
    places = {
        Trainings((8, 16, 32, 64, 128), 3, 6),  # half of the epochs, before anything else
        Trainings((8, 16, 32, 64, 128), 2, 6),  # two seeds
        Trainings((8, 16, 32, 64, 128), 2, 4),  # a third of the epochs
        Trainings((8, 16, 32), 2, 4),  # three sizes
        Trainings((8, 16, 32), 2, 4, 1 / 4),  # a quarter of the images
        Trainings((8, 16, 32), 2, 1, 1 / 4),
        Trainings((8, 16), 2, 1, 1 / 4),
    }
    every = list(shorten(WHOLE))
    assert places <= set(every)
    assert every[0] == WHOLE and every[-1] == Trainings((8, 16), 2, 1, 1 / 4)
    assert all(count(after) < count(before) for before, after in pairwise(every))


@pytest.mark.parametrize("name", ["epochs", "sizes", "seeds"])
def test_what_the_user_named_stays(name: str) -> None:
    assert {getattr(one, name) for one in shorten(WHOLE, (name,))} == {getattr(WHOLE, name)}


def test_few_epochs_and_sizes_are_not_made_more() -> None:
    small = Trainings((8,), 1, 2)
    assert {(one.sizes, one.seeds) for one in shorten(small)} == {((8,), 1)}
    assert max(one.epochs for one in shorten(small)) == 2


@pytest.mark.parametrize("seconds", [20.0, 100.0, 1000.0, 10_000.0, 1e9])
def test_as_much_is_trained_as_fits(seconds: float) -> None:
    kept = choose_fitting(shorten(WHOLE), count, seconds)
    assert count(kept) <= CAREFUL * (seconds - FINISH)
    before = [one for one in shorten(WHOLE) if count(one) > count(kept)]
    assert all(count(one) > CAREFUL * (seconds - FINISH) for one in before)


def test_too_little_time_is_told_with_the_number_that_would_do() -> None:
    with pytest.raises(NoTime, match=r"needs about .*, and 1.0 s are left") as refused:
        choose_fitting(shorten(WHOLE), lambda some: 100 * count(some), 1.0)
    needed = refused.value.needed
    assert (
        choose_fitting(shorten(WHOLE), lambda some: 100 * count(some), needed + 1e-6).share == 1 / 4
    )
    assert refused.value.exit_code == 4


def test_what_was_given_up_is_said() -> None:
    kept = Trainings((8, 16), 2, 1, 0.25)
    assert list_cuts(WHOLE, kept) == (
        "1 epoch of 12",
        "without the sizes 32, 64, 128",
        "2 seeds of 3",
        "25 % of the training images",
    )
    assert list_cuts(WHOLE, WHOLE) == ()
