"""What a finished piece of work says of itself: plain frozen models, to and from JSON.

The report is made from these alone. Accuracies are fractions in [0, 1], times are
seconds, memory is MB (10**6 bytes).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tellapart.records.evidence import (
    ALPHA,
    ComparedRun,
    Comparison,
    ComparisonRecord,
    EvaluatedModel,
    EvaluationRecord,
    HistoryRecord,
    LearningRecord,
    LookRecord,
    TransferCurve,
)
from tellapart.records.grids import GridRecord, GridVerdict, Level, LevelRecord
from tellapart.records.plans import (
    PLACES,
    ROLES,
    STEPS,
    GridPlan,
    Identity,
    LeftOut,
    Need,
    Place,
    PlanRecord,
    Record,
    Role,
    Scalar,
    SearchPlan,
    StatusRecord,
    StepName,
    SweepPlan,
)
from tellapart.records.runs import (
    ClassScore,
    Confirmation,
    CurveRecord,
    EpochRow,
    Estimate,
    GainRecord,
    Knee,
    LearningPoint,
    RunRecord,
    SizeRecord,
    TestRecord,
    Trend,
    TrialRecord,
    Verdict,
)
from tellapart.records.transfer import (
    BackboneRecord,
    FoldRecord,
    FoldsRecord,
    HeadRecord,
    HeadSweepRecord,
    ScreenRecord,
    TunedRecord,
)

__all__ = [
    "ALPHA",
    "COSTS",
    "PLACES",
    "ROLES",
    "STEPS",
    "AnyStep",
    "BackboneRecord",
    "BaselineStep",
    "ClassScore",
    "ComparedRun",
    "Comparison",
    "ComparisonRecord",
    "Confirmation",
    "Cost",
    "CurveRecord",
    "DataRecord",
    "EpochRow",
    "Estimate",
    "EvaluatedModel",
    "EvaluationRecord",
    "Excluded",
    "FoldRecord",
    "FoldsRecord",
    "GainRecord",
    "GridPlan",
    "GridRecord",
    "GridVerdict",
    "HeadRecord",
    "HeadSweepRecord",
    "HistoryRecord",
    "Identity",
    "InspectStep",
    "Knee",
    "LearningPoint",
    "LearningRecord",
    "LeftOut",
    "Level",
    "LevelRecord",
    "LookRecord",
    "ModelStep",
    "Need",
    "Place",
    "PlanRecord",
    "Record",
    "Role",
    "RunRecord",
    "Scalar",
    "ScreenRecord",
    "SearchPlan",
    "SearchStep",
    "SizeRecord",
    "StatusRecord",
    "StepName",
    "StepRecord",
    "StudyRecord",
    "SweepPlan",
    "SweepStep",
    "TestRecord",
    "TransferCurve",
    "TransferStep",
    "Trend",
    "TrialRecord",
    "TunedRecord",
    "Verdict",
]


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


Cost = Literal["parameters", "seconds", "predict_seconds"]
"""What a trial costs: its size, its training, and telling an image."""
COSTS: tuple[Cost, ...] = ("parameters", "seconds", "predict_seconds")


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
    """What the five steps that end in a model say; ``run`` is the model that was tested.

    Where its epoch was chosen on test, ``honest_accuracy`` is that of its last epoch, which nothing
    chose, on the same images.
    """

    model: str
    parameters: int
    val_accuracy: Estimate
    test_accuracy: Estimate
    honest_accuracy: Estimate | None = None
    run: RunRecord
    test: TestRecord


class BaselineStep(ModelStep):
    """Step 2."""

    step: Literal["baseline"] = "baseline"


class SweepStep(ModelStep):
    """Steps 3 and 4."""

    step: Literal["conv", "dense"]
    setting: str
    sizes: tuple[SizeRecord, ...]
    verdict: Verdict
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


class SearchStep(ModelStep):
    """Step 5.

    ``importances`` say how much each setting decided of the trials' accuracy, by kind of network;
    they sum to 1 in each, and are left out where there were too few trials to tell. ``frontier``
    has, for each cost, the trials that no cheaper one beats.
    """

    step: Literal["search"] = "search"
    trials: tuple[TrialRecord, ...]
    best_trial: int
    confirmation: Confirmation | None = None
    importances: dict[str, dict[str, float]] = Field(default_factory=dict)
    frontier: dict[Cost, tuple[int, ...]] = Field(default_factory=dict)


class TransferStep(ModelStep):
    """Step 6. ``screened``: resolutions that were tried on a part of the images first."""

    step: Literal["transfer"] = "transfer"
    backbones: tuple[BackboneRecord, ...]
    screened: tuple[ScreenRecord, ...] = ()
    folds: FoldsRecord | None = None
    head_sweep: HeadSweepRecord | None = None
    tuned: TunedRecord | None = None
    advice: str


AnyStep = Annotated[
    InspectStep | BaselineStep | SweepStep | SearchStep | TransferStep,
    Field(discriminator="step"),
]


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
    learning: LearningRecord | None = None
    grid: GridRecord | None = None
    ledger: tuple[LookRecord, ...]
