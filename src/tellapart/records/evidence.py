"""What backbones, comparisons and evaluations say."""

from __future__ import annotations

from typing import Literal

from tellapart.records.base import Record
from tellapart.records.runs import Estimate, LearningPoint, RunRecord, SizeRecord, Verdict

ALPHA = 0.05
"""The level of the tests between models."""


class LookRecord(Record):
    """One look at the test split, as the ledger keeps it."""

    look: int
    when: str
    step: str
    cell: str
    purpose: str
    beyond: bool = False


class Comparison(Record):
    """Two models on the same test images: exact McNemar test, Holm-corrected.

    ``difference`` is second minus first. ``detectable`` is the smallest true difference that would
    have been shown in four of five such tests.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    detectable: float
    only_first: int
    only_second: int
    n: int
    p_value: float
    p_holm: float
    sentence: str


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


class TransferCurve(Record):
    """A frozen backbone with a logistic head on the same shares of the training images."""

    model: str
    points: tuple[LearningPoint, ...]
    sentence: str
    seconds: float


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
    """One head on the features of images, and of so many views; ``run`` is the folder of it."""

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
    verdict: Verdict


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
