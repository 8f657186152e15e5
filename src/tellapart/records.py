"""What a finished piece of work says of itself: plain frozen models, to and from JSON.

The report is made from these alone. Accuracies are fractions in [0, 1], times are
seconds, memory is MB (10**6 bytes).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

StepName = Literal["inspect", "baseline", "conv", "dense", "search", "transfer"]
STEPS: tuple[StepName, ...] = ("inspect", "baseline", "conv", "dense", "search", "transfer")
Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = ("train", "val", "test")
Scalar = str | int | float | bool | None | tuple[int, ...]


class Record(BaseModel):
    """Base of all records: frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Record):
    """A proportion with its 95 % interval, and the number of images it was measured on."""

    value: float
    low: float
    high: float
    n: int


class Excluded(Record):
    """A file that was left out, and why. The path is relative to the data folder."""

    path: str
    reason: str


class DataRecord(Record):
    """What a dataset is: source, classes, counts, image shapes."""

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


class EpochRow(Record):
    """One line of ``history.csv``. ``val_*`` is what the best epoch is chosen on."""

    epoch: int
    seconds: float
    lr: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


class RunRecord(Record):
    """One finished training. ``folder`` is relative to the study's or run's folder."""

    cell: str
    folder: str
    model: str
    settings: dict[str, Scalar]
    seed: int
    parameters: int
    best_epoch: int
    chosen_on: Literal["val", "test"]
    seconds: float
    peak_memory_mb: float
    device: str
    precision: Literal["float32", "bfloat16"]
    val_accuracy: Estimate
    history: tuple[EpochRow, ...]


class ClassScore(Record):
    """Scores of one class on the test images; recall has its own interval."""

    name: str
    precision: float
    recall: Estimate
    f1: float
    support: int


class TestRecord(Record):
    """What one look at the test split showed. ``confusion[true][predicted]`` counts images."""

    __test__: ClassVar[bool] = False  # not a test, whatever its name makes pytest think

    accuracy: Estimate
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassScore, ...]
    look: int
    optimistic: bool


class SizeRecord(Record):
    """One size of a sweep. ``val_accuracy`` is the mean over seeds; ``seeds`` has each.

    ``failed`` counts the seeds whose training was not finite; they are in no other figure.
    """

    size: int
    parameters: int
    seconds: float
    val_accuracy: Estimate
    seeds: tuple[float, ...]
    best_epochs: tuple[int, ...]
    failed: int = 0


class Verdict(Record):
    """The answer to "is there an ideal size?". ``tied`` are the sizes not told from the best."""

    kind: Literal["ideal", "bigger", "flat", "unknown"]
    size: int
    best: int
    tied: tuple[int, ...]
    margin: float
    sentence: str


class TrialRecord(Record):
    """One trial of the search; a failed one has no accuracy."""

    number: int
    status: Literal["done", "failed"]
    cell: str
    settings: dict[str, Scalar]
    parameters: int
    seconds: float
    val_accuracy: Estimate | None
    note: str


class BackboneRecord(Record):
    """One backbone of the transfer step. ``license`` is that of its weights."""

    name: str
    source: str
    license: str
    parameters: int
    features: int
    image_size: int
    engine: str
    extraction_seconds: float
    images_computed: int
    head_parameters: int
    val_accuracy: Estimate
    run: RunRecord


class LookRecord(Record):
    """One look at the test split, as the ledger keeps it."""

    look: int
    when: str
    step: str
    cell: str
    purpose: str


class Comparison(Record):
    """Two steps' models on the same test images: exact McNemar test, Holm-corrected.

    ``difference`` is second minus first, as a fraction, with its 95 % interval.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    n: int
    p_value: float
    p_holm: float
    sentence: str


class StepRecord(Record):
    """What every step says."""

    status: Literal["done"]
    seconds: float
    peak_memory_mb: float
    answer: str


class InspectStep(StepRecord):
    """Step 1."""

    step: Literal["inspect"] = "inspect"
    data: DataRecord
    balance: str
    imbalance_ratio: float
    majority_share: float
    duplicates: int
    leaked: int
    samples: str


class ModelStep(StepRecord):
    """What the five steps that end in a model say; ``run`` is the model that was tested."""

    model: str
    parameters: int
    val_accuracy: Estimate
    test_accuracy: Estimate
    run: RunRecord
    test: TestRecord


class BaselineStep(ModelStep):
    """Step 2."""

    step: Literal["baseline"] = "baseline"


class LeftOut(Record):
    """A size of a sweep that has no figures, and why: it was not tried, or it failed."""

    size: int
    reason: str


class SweepStep(ModelStep):
    """Steps 3 and 4."""

    step: Literal["conv", "dense"]
    setting: str
    sizes: tuple[SizeRecord, ...]
    verdict: Verdict
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


class SearchStep(ModelStep):
    """Step 5."""

    step: Literal["search"] = "search"
    trials: tuple[TrialRecord, ...]
    best_trial: int


class TransferStep(ModelStep):
    """Step 6."""

    step: Literal["transfer"] = "transfer"
    backbones: tuple[BackboneRecord, ...]
    advice: str


AnyStep = Annotated[
    InspectStep | BaselineStep | SweepStep | SearchStep | TransferStep,
    Field(discriminator="step"),
]


class SweepPlan(Record):
    """What a sweep will train, and how long that should take."""

    sizes: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    seeds: int
    epochs: int
    seconds: float


class SearchPlan(Record):
    """What the search will try.

    Trials end early once ``trial_seconds`` are spent, never before the given ones are done; the
    winner is trained for at most ``epochs``, fewer where ``winner_seconds`` are short.
    """

    trials: int
    trial_epochs: int
    width: int
    epochs: int
    trial_seconds: float | None
    winner_seconds: float | None
    seconds: float


class PlanRecord(Record):
    """``plan.json``: what a study will do, settled when it starts first.

    ``baseline`` is the epochs of step 2. Seconds are what the measured pace of this machine lets
    expect; ``cut`` says whether that shortened what the data alone would have had.
    """

    minutes: float | None
    cut: bool
    baseline: int | None = None
    sweeps: dict[StepName, SweepPlan]
    search: SearchPlan | None
    seconds: float


class StudyRecord(Record):
    """``results.json``: everything that the report says."""

    version: str
    command: str
    data: DataRecord
    protocol: Literal["holdout", "notebook"]
    environment: dict[str, Scalar]
    plan: PlanRecord
    seconds: float
    peak_memory_mb: float
    steps: dict[StepName, AnyStep]
    comparisons: tuple[Comparison, ...]
    ledger: tuple[LookRecord, ...]
