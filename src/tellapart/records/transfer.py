"""Backbones, the heads on their features, and what became of the best of them."""

from __future__ import annotations

from typing import Literal

from tellapart.records.base import Record
from tellapart.records.evidence import Comparison
from tellapart.records.runs import Estimate, RunRecord, SizeRecord, Verdict


class ScreenRecord(Record):
    """A backbone at one resolution, screened on a part of the images with a logistic head.

    ``seconds`` are those of the ``computed`` images whose features were not in the cache.
    """

    name: str
    image_size: int
    parameters: int
    val_score: Estimate
    seconds: float
    computed: int


class HeadRecord(Record):
    """One head on a backbone's features: trained on the images, and on so many views of them.

    ``run`` is the folder of its training, relative to the study's.
    """

    kind: Literal["dense", "logistic"]
    views: int
    parameters: int
    seconds: float
    val_score: Estimate
    run: str


class BackboneRecord(Record):
    """One backbone of the transfer step. ``license`` is that of its weights.

    ``heads`` are all that were tried on it, and ``run`` the one of them that is best on val.
    ``extraction_seconds`` are those of all views, as far as they were not in the cache.
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
    """A logistic head on one backbone's features, cross-validated.

    ``score`` is of all held images together, ``parts`` that of each fold.
    """

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
    """A backbone that went on learning, beside the ``frozen`` head that it began with.

    ``frozen_score`` and ``score`` are of the test images, and ``comparison`` is the paired test of
    the two. ``kept``: it did better on val, so that it is the step's model.
    """

    depth: Literal["last", "all"]
    run: RunRecord
    frozen: RunRecord
    frozen_score: Estimate
    score: Estimate
    comparison: Comparison
    kept: bool
