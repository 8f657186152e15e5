"""What comparisons, looks at the test split and growing shares of the data say."""

from __future__ import annotations

from typing import Literal

from tellapart.records.base import Record
from tellapart.records.runs import Estimate, LearningPoint

ALPHA = 0.05
"""The level of the tests between models."""


class LookRecord(Record):
    """One look at the test split, as the ledger keeps it; ``beyond`` those of the study itself."""

    look: int
    when: str
    step: str
    cell: str
    purpose: str
    beyond: bool = False


class Comparison(Record):
    """Two models on the same test images: exact McNemar test, Holm-corrected.

    ``difference`` is second minus first, as a fraction, with its 95 % interval (``low`` to
    ``high``), and that of the paired bootstrap beside it. ``detectable`` is the smallest true
    difference that would have been shown in four of five such tests.
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
    """One of the runs that ``compare`` was given; ``folder`` is where its predictions are.

    ``optimistic``: its epoch was chosen on the test images (protocol notebook).
    """

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
    """A model looked at again; ``look`` is the number of the look, where it was at test.

    ``optimistic``: its epoch was chosen on the test images (protocol notebook).
    """

    step: str
    model: str
    score: Estimate
    loss: float
    look: int | None
    optimistic: bool


class EvaluationRecord(Record):
    """What ``evaluate`` says; ``beyond`` counts the looks at test that were not the study's own."""

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
