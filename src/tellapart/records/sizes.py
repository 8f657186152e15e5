"""What comes of trying sizes, settings, networks and shares of the images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tellapart.records.base import LeftOut, Record, Scalar
from tellapart.records.runs import Estimate, ModelStep, RunRecord, StepRecord


class SizeRecord(Record):
    """One size of a sweep: means over its seeds, and in ``seeds`` the score with each.

    ``failed`` counts trainings that were not finite, or whose process died; they are in no other
    figure.
    """

    size: int
    parameters: int
    seconds: float
    threads: int = 1
    val_score: Estimate
    seeds: tuple[float, ...]
    seed_numbers: tuple[int, ...]
    best_epochs: tuple[int, ...]
    failed: int = 0


class Trend(Record):
    """What doubling a size brings, as a fraction, with its 95 % interval."""

    per_doubling: float
    low: float
    high: float


class Knee(Record):
    """The size, perhaps between those tried, from which more brings no more than counts as none."""

    value: float
    low: float
    high: float


class CurveRecord(Record):
    """``error = floor + scale * (size / largest) ** -power``, of training data or of a network."""

    floor: float
    scale: float
    power: float
    largest: float


class Ranking(Record):
    """Which sizes, or numbers of levels, may be the best.

    ``tied`` are those not told from the ``best``. ``margin`` is the largest difference that the
    chance of seeds may make, ``equivalence`` that up to which sizes count as equal. ``firm`` says
    that more seeds would hardly change the answer; ``more_seeds``, how many more a size would
    decide it, and ``decisive``, which sizes get more (none that would need hopelessly many).
    """

    best: int
    tied: tuple[int, ...]
    margin: float
    equivalence: float
    firm: bool
    more_seeds: int
    decisive: tuple[int, ...] = ()
    sentence: str


class Verdict(Ranking):
    """The answer to "is there an ideal size?".

    ``size`` is the smallest that is not worse than the best, ``one_error`` the smallest within one
    standard error of it. ``knee`` is where the curve comes so near to the best on its way up to it
    (None where it falls from the first size on, where all sizes are as good, or nothing can be
    told), ``curve`` the curve that it was read off (None: lines between sizes), and ``possible``
    are the other sizes that may be the one to take.
    """

    kind: Literal["ideal", "bigger", "flat", "unknown"]
    size: int
    one_error: int
    trend: Trend | None
    knee: Knee | None = None
    curve: CurveRecord | None = None
    possible: tuple[int, ...] = ()


class SweepStep(ModelStep):
    step: Literal["conv", "dense"]
    setting: str
    sizes: tuple[SizeRecord, ...]
    verdict: Verdict
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


Level = dict[str, Scalar]  # one combination of the values of settings that vary


class LevelRecord(Record):
    """One combination of the values that varied; the ``size`` of its figures is its number."""

    values: Level
    figures: SizeRecord


class GridVerdict(Ranking):
    """Which levels may be the best; ``take`` is the cheapest of the tied."""

    take: int


class VaryStep(StepRecord):
    """One or two settings varied, compared on val.

    All else is equal, but for what follows from a setting that varies: an optimiser has its own
    learning rate, and a larger batch a higher one, unless these are named. ``left_out`` are levels
    of which no training was finite; ``epochs`` is None where they vary.
    """

    step: Literal["vary"] = "vary"
    model: str
    metric: str = "accuracy"
    settings: dict[str, tuple[Scalar, ...]]
    levels: tuple[LevelRecord, ...]
    left_out: tuple[str, ...] = ()
    verdict: GridVerdict
    epochs: int | None


class LearningPoint(Record):
    """One size of the training data; ``score`` is the mean over ``seeds``, on val."""

    images: int
    score: Estimate
    seeds: tuple[float, ...]
    seconds: float


class GainRecord(Record):
    """What twice the data should bring, as a fraction, with its 95 % interval."""

    value: float
    low: float
    high: float


class TransferCurve(Record):
    """A frozen backbone with a logistic head on the same shares of the training images."""

    model: str
    points: tuple[LearningPoint, ...]
    sentence: str
    seconds: float


class LearnStep(StepRecord):
    """Would more data help? One network on growing shares of the training images."""

    step: Literal["learn"] = "learn"
    model: str
    metric: str = "accuracy"
    points: tuple[LearningPoint, ...]
    curve: CurveRecord | None
    gain: GainRecord | None
    transfer: TransferCurve | None = None
    sentence: str


class TrialRecord(Record):
    """One trial of the search; one that failed, or was stopped as hopeless, has no score."""

    number: int
    status: Literal["done", "failed", "stopped"]
    cell: str
    settings: dict[str, Scalar]
    parameters: int
    seconds: float
    predict_seconds: float = 0.0
    val_score: Estimate | None
    note: str


class Confirmation(Record):
    """The winner of a search trained again as in its trial, with seeds that chose nothing.

    ``score`` is that of the search, ``mean`` that over the fresh ``seeds``.
    """

    score: Estimate
    mean: Estimate
    seeds: tuple[float, ...]
    luck: float


Cost = Literal["parameters", "seconds", "predict_seconds"]
"""What a trial costs: its size, its training, and classifying an image."""

COSTS: tuple[Cost, ...] = ("parameters", "seconds", "predict_seconds")


class SearchStep(ModelStep):
    """The search for the best network from scratch.

    ``importances`` are shares of what each setting decided, by kind of network, where there were
    enough trials to say. ``frontier`` has, for each cost, the trials that no cheaper one beats.
    """

    step: Literal["search"] = "search"
    trials: tuple[TrialRecord, ...]
    best_trial: int
    confirmation: Confirmation | None = None
    importances: dict[str, dict[str, float]] = Field(default_factory=dict)
    frontier: dict[Cost, tuple[int, ...]] = Field(default_factory=dict)
