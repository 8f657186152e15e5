"""What the steps of a study say, and the study itself.

The report is made from these alone. Scores are fractions in [0, 1], times are seconds, memory is
MB (10**6 bytes).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny

from tellapart.records.base import LeftOut, Record, Role, Scalar
from tellapart.records.evidence import (
    BackboneRecord,
    Comparison,
    FoldsRecord,
    HeadSweepRecord,
    LookRecord,
    ScreenRecord,
    TransferCurve,
    TunedRecord,
)
from tellapart.records.runs import (
    Confirmation,
    CurveRecord,
    Estimate,
    GainRecord,
    GridVerdict,
    LearningPoint,
    LevelRecord,
    RunRecord,
    SizeRecord,
    TestRecord,
    TrialRecord,
    Verdict,
)


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


Cost = Literal["parameters", "seconds", "predict_seconds"]
"""What a trial costs: its size, its training, and classifying an image."""
COSTS: tuple[Cost, ...] = ("parameters", "seconds", "predict_seconds")


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


class InspectStep(StepRecord):
    """What is in the data. ``samples`` shows images of so many (``sampled``) classes."""

    step: Literal["inspect"] = "inspect"
    data: DataRecord
    balance: str
    imbalance_ratio: float
    majority_share: float
    duplicates: int
    leaked: int
    samples: str
    sampled: int


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


class SweepStep(ModelStep):
    step: Literal["conv", "dense"]
    setting: str
    sizes: tuple[SizeRecord, ...]
    verdict: Verdict
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


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


class TransferStep(ModelStep):
    """Heads on frozen backbones. ``screened``: resolutions tried on a part of the images first."""

    step: Literal["transfer"] = "transfer"
    backbones: tuple[BackboneRecord, ...]
    screened: tuple[ScreenRecord, ...] = ()
    folds: FoldsRecord | None = None
    head_sweep: HeadSweepRecord | None = None
    tuned: TunedRecord | None = None
    advice: str


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


def find_kind(name: str) -> type[StepRecord]:
    """Return the kind of record that a step of this name has.

    Raises:
        ValueError: no kind of record names it.
    """
    kinds = [StepRecord]
    for kind in kinds:  # grows as it goes
        kinds += kind.__subclasses__()
        if name in get_args(kind.model_fields["step"].annotation):
            return kind
    raise ValueError(f"no step is called {name!r}")


def read_step(value: Any) -> StepRecord:
    """Return a step's record as the kind that its name says."""
    if isinstance(value, StepRecord):
        return value
    name = str(value.get("step")) if isinstance(value, dict) else ""
    return find_kind(name).model_validate(value)


AnyStep = Annotated[SerializeAsAny[StepRecord], BeforeValidator(read_step)]


class StudyRecord(Record):
    """``results.json``: everything that the report says.

    ``coming`` are the steps still to be done; ``left_out`` says why some are not.
    """

    version: str
    command: str
    data: DataRecord
    protocol: Literal["holdout", "notebook"]
    metric: str = "accuracy"
    environment: dict[str, Scalar]
    minutes: float | None
    precision: Literal["float32", "bfloat16"]
    seconds: float
    peak_memory_mb: float
    steps: dict[str, AnyStep]
    coming: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    ledger: tuple[LookRecord, ...] = ()
