"""What one training and its test leave behind, and the steps that say no more.

Scores are fractions in [0, 1], but for log loss (nats) and Brier score (0 to 2); times are
seconds, memory is MB (10**6 bytes).
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, model_validator

from tellapart.records.base import Record, Role, Scalar, StepPlan


class Estimate(Record):
    """A score with its 95 % interval, and the number of images it was measured on."""

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
    SHA-256 of the run's ``weights/best.safetensors``, ``choice`` that of its ``choice.npy``.
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
    choice: str = ""


class ClassScore(Record):
    """Scores of one class on the test images, of which ``support`` are of it."""

    name: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int


class Hardest(Record):
    """The class that is found least, beyond chance, and what it is taken for beyond chance."""

    name: str
    recall: Estimate
    taken_for: str


class TestRecord(Record):
    """What one look at the test split showed. ``confusion[true][predicted]`` counts images.

    ``scores`` has all scores by name, ``floor`` those of answering every image with how frequent
    each class is in train, of which one is the ``commonest``; the study chooses by ``metric``.
    ``effective`` is how many independent images tell as much as these, of which some are copies;
    None where none are. ``twins`` of the images have a copy in train, or another of their group;
    ``without_twins`` is the study's score on the others. ``look`` is its number; ``predictions``
    is the SHA-256 of the run's ``predictions.csv``.
    """

    __test__: ClassVar[bool] = False  # not a test, whatever its name makes pytest think

    metric: str = "accuracy"
    scores: dict[str, Estimate]
    floor: dict[str, Estimate]
    commonest: str
    effective: float | None = None
    twins: int = 0
    without_twins: Estimate | None = None
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassScore, ...]
    hardest: Hardest | None = None
    look: int
    predictions: str
    optimistic: bool

    @property
    def score(self) -> Estimate:
        """The score that the study chooses by."""
        return self.scores[self.metric]


class LookRecord(Record):
    """One look at the test split, as the ledger keeps it."""

    look: int
    when: str
    step: str
    cell: str
    purpose: str
    beyond: bool = False


ALPHA = 0.05  # the level of the tests between models


class Comparison(Record):
    """Two trained models on the same test images; ``difference`` is second minus first.

    ``effect`` is how many times fewer images tell as much as these, of which some come in groups.
    ``p_value`` is McNemar's, corrected among the comparisons that were ``named`` beforehand, or
    among all the others; the limits are Tango's, of named ones with the same correction.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    n: int
    effect: float = 1.0
    p_value: float
    named: bool
    sentence: str


class Excluded(Record):
    """A file that was left out; its path is relative to the data folder."""

    path: str
    reason: str


class DataRecord(Record):
    name: str
    origin: str
    fingerprint: str
    classes: tuple[str, ...]
    counts: dict[Role, dict[str, int]]
    image_size: int
    channels: int
    size_reason: str
    streamed: bool
    sizes: dict[str, int]
    modes: dict[str, int]
    notes: tuple[str, ...]
    excluded: tuple[Excluded, ...]


class StepRecord(Record):
    """What every step says; the study fills it in.

    ``given`` are the seconds it had (None: no limit), ``cut`` what they did not suffice for.
    """

    step: str
    given: float | None = None
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    cut: tuple[str, ...] = ()
    answer: str = ""


FindingName = Literal[
    "conflicts", "leaks", "groups", "shortcuts", "drift", "pretrained", "blank", "unreadable",
    "balance", "copies", "labels", "outliers",
]  # fmt: skip
FINDINGS: tuple[FindingName, ...] = get_args(FindingName)
"""What may be wrong with data, the gravest first."""


class Finding(Record):
    """What a check of the data found: so many (``count``) ``of`` all, what it means, what to do.

    ``examples`` name some of the images, ``picture`` shows some, below the study's folder, and
    ``leave_out`` names those without which the fault is gone.
    """

    name: FindingName
    title: str
    severity: Literal["grave", "mind"]
    count: int
    of: int
    sentence: str
    advice: str
    examples: tuple[str, ...] = ()
    picture: str = ""
    leave_out: tuple[str, ...] = ()


class InspectStep(StepRecord):
    """What is in the data. ``samples`` shows images of so many (``sampled``) classes.

    ``leaked`` images of val and test have a copy in a split before, and ``separated`` ones another
    of their group; ``groups`` is how many groups have a name. ``floors`` are accuracies on
    val of answering without a network; ``unchecked`` is what could not be looked for.
    """

    step: Literal["inspect"] = "inspect"
    data: DataRecord
    balance: str
    imbalance_ratio: float
    majority_share: float
    duplicates: int
    leaked: int
    separated: int = 0
    groups: int = 0
    findings: tuple[Finding, ...] = ()
    floors: dict[str, Estimate] = Field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    samples: str
    sampled: int


class LabelsStep(StepRecord):
    """What a pretrained backbone tells of ``images``, of which ``tested`` are of test.

    ``score`` is the accuracy, outside test, of heads in ``folds`` folds on images that they had not
    seen; ``bound`` is about the most that these features allow, judging by nearest neighbours, or
    None where nothing is known of it.
    """

    step: Literal["labels"] = "labels"
    backbone: str
    image_size: int
    images: int
    tested: int
    folds: int
    score: Estimate
    bound: Estimate | None = None
    findings: tuple[Finding, ...] = ()
    unchecked: tuple[str, ...] = ()


class LabelsPlan(StepPlan):
    """Of which backbone, at which size, features are taken; ``key`` is the backbone's.

    Of all images, or of those of a transfer on a ``share`` of the training images.
    """

    backbone: str
    image_size: int
    key: str
    share: float = 1.0


class ModelStep(StepRecord):
    """What the steps that end in a model say; ``run`` is the model that was tested.

    Where its epoch was chosen on test, ``honest_score`` is that of the last, which nothing chose.
    """

    model: str
    parameters: int
    val_score: Estimate
    test_score: Estimate
    honest_score: Estimate | None = None
    run: RunRecord
    test: TestRecord


class BaselineStep(ModelStep):
    step: Literal["baseline"] = "baseline"
