"""What a transfer says, the whole study, and what is asked of it afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny

from tellapart.records.base import Record, Scalar
from tellapart.records.mistakes import Mistakes
from tellapart.records.predictor import Surest
from tellapart.records.runs import (
    Comparison,
    DataRecord,
    Estimate,
    LookRecord,
    ModelStep,
    RunRecord,
    StepRecord,
)
from tellapart.records.sizes import Ranking, SizeRecord


class ScreenRecord(Record):
    """A backbone at one resolution, screened on a part of the images with a logistic head.

    ``computed`` are the images whose features were not in the cache.
    """

    name: str
    image_size: int
    parameters: int
    val_score: Estimate
    seconds: float
    computed: int


class HeadRecord(Record):
    """One head on the features of images, and of so many views; ``run`` is its folder."""

    kind: Literal["dense", "logistic"]
    views: int
    parameters: int
    seconds: float
    val_score: Estimate
    run: str


class BackboneRecord(Record):
    """One backbone of the transfer step. ``license`` is that of its weights.

    ``run`` is the head that is best on val. ``extraction_seconds`` leave out what was in the cache.
    """

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
    val_score: Estimate
    heads: tuple[HeadRecord, ...]
    run: RunRecord


class HeadSweepRecord(Record):
    """Dense heads of several sizes on one backbone's features, several seeds each."""

    backbone: str
    sizes: tuple[SizeRecord, ...]
    ranking: Ranking


class FoldRecord(Record):
    """A logistic head, cross-validated: ``score`` of all images together, ``parts`` by fold."""

    name: str
    image_size: int
    score: Estimate
    parts: tuple[float, ...]
    seconds: float


class FoldsRecord(Record):
    """All backbones by cross-validation in ``count`` folds of the ``images`` outside test."""

    count: int
    images: int
    backbones: tuple[FoldRecord, ...]
    comparisons: tuple[Comparison, ...]


class TunedRecord(Record):
    """A backbone that went on learning, beside the ``frozen`` head that it began with; on test.

    ``kept``: it did better on val, so that it is the step's model.
    """

    depth: Literal["last", "all"]
    run: RunRecord
    frozen: RunRecord
    frozen_score: Estimate
    score: Estimate
    comparison: Comparison
    kept: bool


class TransferStep(ModelStep):
    """Heads on frozen backbones. ``screened``: resolutions tried on a part of the images first."""

    step: Literal["transfer"] = "transfer"
    backbones: tuple[BackboneRecord, ...]
    screened: tuple[ScreenRecord, ...] = ()
    folds: FoldsRecord | None = None
    head_sweep: HeadSweepRecord | None = None
    tuned: TunedRecord | None = None
    advice: str


class Promise(Record):
    """What keeping an ``error`` takes: below ``threshold`` no answer; None where it cannot be.

    Of the test images ``count`` are then answered, a share of ``answered``, so many ``wrong``.
    """

    error: float
    threshold: float | None
    answered: float
    count: int
    wrong: int


class HandoverStep(StepRecord):
    """The model that leaves the study: that of the step ``chosen``.

    Its logits are divided by ``temperature``; the calibration errors are on test, ``before`` that
    and ``after``. ``surest`` is the risk-coverage curve there, empty where test chose something;
    ``false_alarms`` is the share of val images that are flagged as unlike those of training. Of an
    ``optimistic`` model nothing is calibrated or flagged, for it was trained on val.
    """

    step: Literal["model"] = "model"
    chosen: str
    model: str
    parameters: int
    test_score: Estimate
    temperature: float
    ece_before: Estimate
    ece_after: Estimate
    surest: tuple[Surest, ...] = ()
    promises: tuple[Promise, ...] = ()
    false_alarms: float
    optimistic: bool = False
    license: str = ""
    mistakes: Mistakes | None = None


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


class ModelRanking(Record):
    """The steps' final models on val: the best, those not told from it, and their cheapest.

    ``parameters`` are all that classify an image, those of a frozen backbone included.
    """

    best: str
    group: tuple[str, ...]
    cheapest: str
    parameters: dict[str, int]


class StudyRecord(Record):
    """``results.json``: everything that the report says.

    ``coming`` are the steps still to be done; ``left_out`` says why some are not. ``detectable`` is
    the difference that the named comparisons would have shown four times in five.
    """

    version: str
    command: str
    data: DataRecord
    protocol: Literal["holdout", "notebook"]
    split_seed: int = 0
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
    detectable: float | None = None
    models: ModelRanking | None = None
    ledger: tuple[LookRecord, ...] = ()


class ComparedRun(Record):
    """One of the runs that ``compare`` was given; ``folder`` is where its predictions are."""

    name: str
    folder: str
    model: str
    score: Estimate
    optimistic: bool


class ComparisonRecord(Record):
    """What ``compare`` says: the runs, and every two of them on the same test images."""

    version: str
    data: str
    runs: tuple[ComparedRun, ...]
    comparisons: tuple[Comparison, ...]


class PredictedModel(Record):
    """A model as its predictions show it; ``scores`` by name are means over its ``trainings``."""

    name: str
    trainings: int
    scores: dict[str, Estimate]


class PredictionsRecord(Record):
    """What ``compare`` says of files of predictions; the ranking is of ``models``, in order."""

    images: int
    groups: int | None
    classes: tuple[str, ...]
    models: tuple[PredictedModel, ...]
    ranking: Ranking
    left_out: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...]


class EvaluatedModel(Record):
    """A model evaluated again; ``look`` is the number in the ledger, where it was on test."""

    step: str
    model: str
    score: Estimate
    loss: float
    look: int | None
    optimistic: bool


class EvaluationRecord(Record):
    """What ``evaluate`` says; ``beyond`` counts looks at test that were not the study's own."""

    version: str
    data: str
    split: Literal["val", "test"]
    models: tuple[EvaluatedModel, ...]
    beyond: int


class HistoryRecord(Record):
    """What ``history`` says of one model: each metric's value at each of the ``epochs``."""

    step: str
    model: str
    best_epoch: int
    epochs: tuple[int, ...]
    metrics: dict[str, tuple[float, ...]]
