"""What trainings, tests, sweeps and searches leave behind."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from tellapart.records.base import Record, Scalar


class Estimate(Record):
    """A proportion with its 95 % interval, and the number of images it was measured on."""

    value: float
    low: float
    high: float
    n: int

    @model_validator(mode="after")
    def check_order(self) -> Estimate:
        """Refuse a value outside its interval: one of them was altered."""
        if not self.low - 1e-9 <= self.value <= self.high + 1e-9:
            raise ValueError(f"{self.value} is not within {self.low} to {self.high}")
        return self


class EpochRow(Record):
    """One line of ``history.csv``; ``val_score`` is by the run's metric."""

    epoch: int
    seconds: float
    lr: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_score: float


class RunRecord(Record):
    """One finished training. ``folder`` is relative to the study's or run's folder.

    ``warm_up_seconds``, a part of ``seconds``, is what recording the passes on a GPU took.
    ``predict_seconds`` is what an image takes to be classified, as one of many on this machine.
    ``label`` and ``description`` name the network in a table and in a sentence. ``weights`` is the
    SHA-256 of the run's ``weights/best.safetensors``.
    """

    cell: str
    folder: str
    model: str
    label: str
    description: str
    settings: dict[str, Scalar]
    seed: int
    parameters: int
    best_epoch: int
    chosen_on: Literal["val", "test"]
    seconds: float
    warm_up_seconds: float = 0.0
    predict_seconds: float = 0.0
    peak_memory_mb: float
    device: str
    threads: int = 1
    precision: Literal["float32", "bfloat16"]
    metric: str = "accuracy"
    val_accuracy: Estimate
    val_score: Estimate
    history: tuple[EpochRow, ...]
    weights: str


class ClassScore(Record):
    """Scores of one class on the test images, of which ``support`` are of it."""

    name: str
    precision: float
    recall: Estimate
    f1: float
    support: int


class TestRecord(Record):
    """What one look at the test split showed. ``confusion[true][predicted]`` counts images.

    ``look`` is its number; ``predictions`` is the SHA-256 of the run's ``predictions.csv``.
    """

    __test__: ClassVar[bool] = False  # not a test, whatever its name makes pytest think

    accuracy: Estimate
    metric: str = "accuracy"
    score: Estimate
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassScore, ...]
    look: int
    predictions: str
    optimistic: bool


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


Level = dict[str, Scalar]
"""The values of one combination of settings that vary, by name."""


class LevelRecord(Record):
    """One combination of the values that varied; the ``size`` of its figures is its number."""

    values: Level
    figures: SizeRecord


class GridVerdict(Ranking):
    """Which levels may be the best; ``take`` is the cheapest of the tied."""

    take: int


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
