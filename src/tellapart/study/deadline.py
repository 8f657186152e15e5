"""When the command has to end, and what a step trains where time is short."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from tellapart.errors import BudgetError
from tellapart.report.wording import say_seconds

Option = TypeVar("Option")
CAREFUL = 0.85
"""The part of a step's time that its trainings are planned to take: machines slow down."""
FINISH = 3.0
"""Seconds that a step needs besides: to test its model, draw, and write the report."""


class NoTime(BudgetError):
    """A step cannot do anything in the time it has; ``needed`` are the seconds that would do."""

    def __init__(self, needed: float, left: float) -> None:
        super().__init__(f"it needs about {say_seconds(needed)}, and {say_seconds(left)} are left")
        self.needed = needed


@dataclass(frozen=True)
class Deadline:
    """A moment on the clock of ``time.monotonic``; never, unless told."""

    end: float = math.inf

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    @property
    def given(self) -> float | None:
        """The seconds that are left, as records have them: None where there is no limit."""
        return None if math.isinf(self.end) else self.left()

    def is_over(self) -> bool:
        """Tell whether no time is left."""
        return self.left() == 0.0

    def take(self, share: float, least: float = 0.0) -> Deadline:
        """Return the deadline of work with so much of what is left, or ``least`` seconds."""
        if math.isinf(self.end):
            return self
        return Deadline(time.monotonic() + max(least, share * self.left()))


@dataclass(frozen=True)
class Trainings:
    """Sizes, each trained with so many seeds for so many epochs on a share of the images."""

    sizes: tuple[int, ...]
    seeds: int
    epochs: int
    share: float = 1.0


def shorten(whole: Trainings, named: Collection[str] = ()) -> Iterator[Trainings]:
    """Give what is wished, and then less and less of it, in the order in which it is given up.

    Epochs go first, to a half; then seeds, while two remain, for a size that has not learnt what it
    can says less than one of few seeds; then epochs, to a third but not below 3; then the largest
    sizes, while three remain; then images, to a quarter; at last all epochs but one, and all sizes
    but two. With less than that, an answer would say nothing.

    Args:
        named: what the user named, which stays: epochs, sizes, seeds.
    """
    now = whole
    yield now
    order: tuple[tuple[str, Callable[[], Collection[object]]], ...] = (
        ("epochs", lambda: range(now.epochs - 1, max(3, whole.epochs // 2) - 1, -1)),
        ("seeds", lambda: range(now.seeds - 1, 1, -1)),
        ("epochs", lambda: range(now.epochs - 1, max(3, whole.epochs // 3) - 1, -1)),
        ("sizes", lambda: [now.sizes[:count] for count in range(len(now.sizes) - 1, 2, -1)]),
        ("share", lambda: [now.share / 2, now.share / 4]),
        ("epochs", lambda: range(now.epochs - 1, 0, -1)),
        ("sizes", lambda: [now.sizes[:count] for count in range(len(now.sizes) - 1, 1, -1)]),
    )
    for name, list_values in order:
        for value in () if name in named else list_values():
            now = replace(now, **{name: value})  # type: ignore[arg-type]  # as the field has it
            yield now


def choose_fitting(
    options: Iterable[Option], cost: Callable[[Option], float], seconds: float
) -> Option:
    """Return the first of the options whose trainings fit, where the last is the least.

    Args:
        cost: the seconds that the trainings of one should take.
        seconds: that they may take, with all that goes with them.

    Raises:
        NoTime: the least of them does not fit.
    """
    needed = 0.0
    for option in options:
        needed = cost(option)
        if needed <= CAREFUL * (seconds - FINISH):
            return option
    raise NoTime(needed / CAREFUL + FINISH, seconds)


def list_cuts(whole: Trainings, kept: Trainings) -> tuple[str, ...]:
    """Say what of the wish was given up."""
    cuts = []
    if kept.epochs < whole.epochs:
        cuts.append(f"{kept.epochs} epoch{'s' if kept.epochs > 1 else ''} of {whole.epochs}")
    if gone := [str(size) for size in whole.sizes if size not in kept.sizes]:
        cuts.append(f"without the sizes {', '.join(gone)}")
    if kept.seeds < whole.seeds:
        cuts.append(f"{kept.seeds} seeds of {whole.seeds}")
    if kept.share < whole.share:
        cuts.append(f"{100 * kept.share:.0f} % of the training images")
    return tuple(cuts)
