"""What varying one or two settings comes to."""

from __future__ import annotations

from tellapart.records.plans import Record, Scalar
from tellapart.records.runs import SizeRecord

Level = dict[str, Scalar]
"""The values of one combination of settings that vary, by name."""


class LevelRecord(Record):
    """One combination of the values that varied; the ``size`` of its figures is its number."""

    values: Level
    figures: SizeRecord


class GridVerdict(Record):
    """Which levels may be the best; all are numbers of levels.

    ``take`` is the cheapest in ``tied``, which are those not told from the ``best``. The other
    fields are as in `Verdict`.
    """

    take: int
    best: int
    tied: tuple[int, ...]
    margin: float
    equivalence: float
    firm: bool
    more_seeds: int
    decisive: tuple[int, ...] = ()
    sentence: str


class GridRecord(Record):
    """One or two settings varied, looked at on val; test stays shut.

    All else is equal, but for what follows from a setting that varies: an optimiser has its own
    learning rate, and a larger batch a higher one, unless these are named.

    ``settings`` has their values in the order given; ``left_out``, levels of which no training was
    finite; ``epochs`` is None where they vary.
    """

    model: str
    settings: dict[str, tuple[Scalar, ...]]
    levels: tuple[LevelRecord, ...]
    left_out: tuple[str, ...] = ()
    verdict: GridVerdict
    epochs: int | None
    seconds: float
    peak_memory_mb: float
