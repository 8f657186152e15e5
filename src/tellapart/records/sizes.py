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


class CurveRecord(Record):
    """``error = floor + scale * (size / largest) ** -power``, of training data or of a network."""

    floor: float
    scale: float
    power: float
    largest: float


class Candidate(Record):
    """One of those that were compared: its mean score over seeds, and what it loses to the best.

    ``low`` and ``high`` are the limits of that loss, of all candidates together with 95 %;
    ``possible`` says that it may be the best. ``picked`` is the share of resamples in which the
    rule takes this one.
    """

    score: float
    loss: float
    low: float
    high: float
    possible: bool
    picked: float


class FarSeed(Record):
    """A training that lies so far below the others that it is left out."""

    place: int
    seed: int
    score: float


class Ranking(Record):
    """Which of several candidates is the best, and which could be; places are from 0.

    ``taken`` is the cheapest that loses no more than ``margin`` to the ``best``, ``firm`` says that
    nearly all resamples take it too. Where they do not, ``limit`` says of what more would help
    most; those that ``open`` has may be taken, or be the best.
    """

    taken: int
    best: int
    margin: float
    firm: bool
    limit: Literal["", "seeds", "images"]
    open: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    far: tuple[FarSeed, ...] = ()


class SweepStep(ModelStep):
    step: Literal["conv", "dense"]
    setting: str
    sizes: tuple[SizeRecord, ...]
    ranking: Ranking
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


Level = dict[str, Scalar]  # one combination of the values of settings that vary


class LevelRecord(Record):
    """One combination of the values that varied; the ``size`` of its figures is its number."""

    values: Level
    figures: SizeRecord


class GridRanking(Ranking):
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
    ranking: Ranking
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


class NeedRecord(Record):
    """How many images an accuracy should take, with a 95 % interval; null: no number is enough."""

    accuracy: float
    low: float | None
    high: float | None


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
    needs: tuple[NeedRecord, ...] = ()
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

    ``score`` is that of the search, ``mean`` that over the fresh ``seeds``, ``luck`` what the first
    has over the second, with the 95 % limits that so few seeds allow.
    """

    score: Estimate
    mean: Estimate
    seeds: tuple[float, ...]
    luck: float
    low: float
    high: float


Cost = Literal["parameters", "seconds", "predict_seconds"]
"""What a trial costs: its size, its training, and classifying an image."""

COSTS: tuple[Cost, ...] = ("parameters", "seconds", "predict_seconds")


class SearchStep(ModelStep):
    """The search for the best network from scratch.

    ``frontier`` has, for each cost, the trials that no cheaper one beats.
    """

    step: Literal["search"] = "search"
    trials: tuple[TrialRecord, ...]
    best_trial: int
    confirmation: Confirmation | None = None
    frontier: dict[Cost, tuple[int, ...]] = Field(default_factory=dict)
