"""What a model gets wrong on test, with the names of the images."""

from __future__ import annotations

from tellapart.records.base import Record


class Mistake(Record):
    """An image that was called another class, with the probabilities of that one and its own.

    ``nearest`` are the training images that it resembles most, by their names: their classes.
    """

    file: str
    true: str
    called: str
    true_share: float
    called_share: float
    nearest: dict[str, str]


class Confusion(Record):
    """Images of class ``true`` that were called another: ``count`` out of its ``of`` test images.

    ``files`` are some of them, the surest mistakes first.
    """

    true: str
    called: str
    count: int
    of: int
    files: tuple[str, ...]


class Mistakes(Record):
    """The ``count`` mistakes on ``of`` test images.

    ``surest``, the surest first, are on ``mistakes.png``; ``mapped``: with where the evidence for
    what they were called lies. ``confused``, the most frequent first, has a line each on
    ``confused.png``, with square images of ``files`` from the left on.
    """

    count: int
    of: int
    surest: tuple[Mistake, ...] = ()
    mapped: bool = False
    confused: tuple[Confusion, ...] = ()
