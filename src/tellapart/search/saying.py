"""What verdicts say, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tellapart.records import Knee

MOST_SEEDS = 100
"""Seeds beyond which none are counted on."""


def say_more_seeds(more: int, what: str = "size") -> str:
    """Say how many more seeds would settle what is open.

    >>> say_more_seeds(4)
    '4 more seeds a size would be needed'
    """
    needed = (
        f"{more} more seed{'s' if more > 1 else ''}"
        if more < MOST_SEEDS - 10
        else f"over {MOST_SEEDS - 10} seeds"
    )
    return f"{needed} a {what} would be needed"


def say_margin(equivalence: float) -> str:
    """Say a difference of accuracy.

    >>> say_margin(0.01)
    '1 point'
    """
    return f"{100 * equivalence:.2g} point{'s' if equivalence != 0.01 else ''}"


def say_chance(margin: float) -> str:
    """Say what seeds alone may make of equal sizes."""
    return f"differences below {100 * margin:.1f} points are within the chance of seeds"


def say_ignored(margin: float, equivalence: float) -> str:
    """Say which differences a verdict does not count.

    >>> say_ignored(0.03, 0.02)
    'differences up to 2 points count as none, those below 3.0 are within the chance of seeds'
    """
    ignored = f"differences up to {say_margin(equivalence)} count as none"
    if margin > equivalence:
        ignored += f", those below {100 * margin:.1f} are within the chance of seeds"
    return ignored


def say_size(size: float, tried: Sequence[int]) -> str:
    """Say a size that was estimated, to two digits, or more where it would pass one that was tried.

    >>> say_size(1069.3, (1024,)), say_size(98.7, (64, 128)), say_size(127.5, (128,))
    ('1100', '99', '127.5')
    >>> say_size(128.0, (128,))
    '128'
    """
    for digits in range(2, 12):
        rounded = float(f"{size:.{digits}g}")
        if all(np.sign(rounded - one) == np.sign(size - one) for one in tried):
            break
    return f"{rounded:.12g}"


def say_flat(sizes: Sequence[int], taken: int, equivalence: float) -> str:
    """Say that the size makes no difference."""
    return (
        f"Size does not matter between {sizes[0]} and {sizes[-1]} "
        f"(by {say_margin(equivalence)} or more): take {taken}, the cheapest."
    )


def say_unsettled(
    sizes: Sequence[int], tied: Sequence[int], margin: float, more: int, equivalence: float
) -> str:
    """Say that nothing can be told of the sizes, and what it would take."""
    if len(tied) == len(sizes):
        seen = f"no size is clearly the best between {sizes[0]} and {sizes[-1]}"
    else:
        names = ", ".join(str(size) for size in tied)
        seen = f"{names} are tied with the best, but sizes between them are not"
    points = say_margin(equivalence)
    wanting = (
        f"{say_more_seeds(more)} to see a difference of {points}"
        if more
        else "more seeds would hardly change that"
    )
    return f"Cannot tell: {seen} ({say_chance(margin)}); {wanting}."


def say_bigger(sizes: Sequence[int], taken: int, knee: Knee, ignored: str, sure: bool) -> str:
    """Say that larger sizes are better up to one, and ``sure`` that none beyond gains more."""
    low, value, high = (say_size(size, sizes) for size in (knee.low, knee.value, knee.high))
    beyond = (
        "the first size tried beyond that is the largest, so still larger ones might gain"
        if taken == sizes[-1]
        else f"beyond that {'nothing is gained' if sure else 'no gain was seen'} up to {sizes[-1]}"
    )
    why = "tried beyond it" if knee.value <= taken else "not told from the best"
    return (
        f"Bigger is better up to about {value} (95 %: {low} to {high}); {beyond} ({ignored}). "
        f"Take {taken}, the smallest {why}."
    )


def say_ideal(sizes: Sequence[int], tied: Sequence[int], ignored: str) -> str:
    """Say that there is an ideal size, or a row of them."""
    span = (
        f"{tied[0]}"
        if len(tied) == 1
        else f"{tied[0]} to {tied[-1]}, of which {tied[0]} is the cheapest"
    )
    others = "larger ones" if tied[0] == sizes[0] else "smaller and larger ones"
    return f"There is an ideal size, {span}; {others} do worse ({ignored})."


def say_open(possible: Sequence[int], more: int) -> str:
    """Say which other sizes might be the one to take, as far as the seeds tell.

    >>> say_open((64, 256), 13)
    'By chance the size to take may be 64 or 256: 13 more seeds a size would be needed to tell.'
    """
    *others, last = [str(size) for size in possible]
    names = f"{', '.join(others)} or {last}" if others else last
    return f"By chance the size to take may be {names}: {say_more_seeds(more)} to tell."
