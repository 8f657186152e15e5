"""A new thing is one file and one line: a toy of each kind, by one entry in its table."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from torch import nn

from tellapart.cells import EXECUTORS
from tellapart.cells.executor import LITTLE, Executor, InlineExecutor
from tellapart.config import OPTIMIZERS, Positive, TrainSettings
from tellapart.data import load_images
from tellapart.data.dataset import ArraySource, Dataset, hash_pixels
from tellapart.data.named import NAMED, Named
from tellapart.device import DeviceName
from tellapart.metrics.scores import SCORES, Numbers, Score
from tellapart.models import NETWORKS, read_network
from tellapart.models.network import NetworkSettings, Shape
from tellapart.records import ModelStep, StepPlan, StepRecord, StudyRecord
from tellapart.report.sections import SECTIONS
from tellapart.report.sections.section import Section
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline
from tellapart.study.settings import ComputeSettings, StudySettings
from tellapart.study.steps import STEPS
from tellapart.study.steps.step import Step
from tellapart.study.study import run_study
from tellapart.workspace import read_record


class Means(NetworkSettings):
    """A network: the mean of each channel's quarters, and one linear layer."""

    name: Literal["means"] = "means"
    width: Positive = 2
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["adam"]

    @property
    def description(self) -> str:
        return "a linear layer on means"

    def build(self, shape: Shape) -> nn.Module:
        pool = nn.AdaptiveAvgPool2d(self.width)
        linear = nn.Linear(shape.channels * self.width**2, shape.classes)
        return nn.Sequential(pool, nn.Flatten(), linear)


class CountStep(StepRecord):
    """A step's record."""

    step: Literal["count"] = "count"
    images: int


def plan_count(context: Context, seconds: float) -> StepPlan:
    return StepPlan(text="counts images")


def run_count(context: Context, plan: StepPlan, deadline: Deadline) -> CountStep:
    return CountStep(images=len(context.dataset))


def score_worst(right: Numbers, true: Numbers, named: Numbers) -> Numbers:
    """A metric: the share found of the class that is found least."""
    return np.asarray((right / true).min(-1))


class CountingExecutor(InlineExecutor):
    """An executor: in this process, as if it were elsewhere, counting what it runs."""

    remote = True
    local = False
    ran: ClassVar[list[object]] = []

    def submit(self, function, /, *args, resources=LITTLE):  # type: ignore[no-untyped-def]  # as its base
        self.ran.append(args[1])
        future: Future[object] = super().submit(function, *args, resources=resources)
        return future


def open_counting(workers: int, device: DeviceName) -> Executor:
    return CountingExecutor()


def read_stripes(place: Path) -> Dataset:
    """A dataset: bright and dark images."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    pixels = (rng.integers(0, 100, (120, 8, 8, 1)) + 100 * labels[:, None, None, None]).astype(
        np.uint8
    )
    return Dataset(
        name="stripes",
        origin="made by a test",
        source=ArraySource(pixels),
        labels=labels,
        classes=("dark", "bright"),
        hashes=hash_pixels(pixels),
        roles=("",) * 120,
        image_size=8,
        size_reason="the images' own size",
        channels=1,
        sizes={"8x8": 120},
        modes={"L": 120},
    )


def test_a_new_thing_of_each_kind_is_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "means", Means)
    monkeypatch.setitem(STEPS, "count", Step(run=run_count, plan=plan_count))
    section = Section(
        title="Count",
        question="How many?",
        answer=lambda step, classes: f"{step.images} images",
    )
    monkeypatch.setitem(SECTIONS, "count", section)
    monkeypatch.setitem(SCORES, "worst", Score("worst recall", score_worst))
    monkeypatch.setitem(EXECUTORS, "counting", open_counting)
    monkeypatch.setitem(NAMED, "stripes", Named(read_stripes))
    settings = StudySettings(
        steps=("baseline", "count"),
        model=read_network({"name": "means", "width": 3}),
        metric="worst",
        compute=ComputeSettings(executor="counting"),
        epochs=3,
    )
    record = run_study(load_images("stripes"), settings, tmp_path / "out")
    baseline = record.steps["baseline"]
    assert isinstance(baseline, ModelStep)
    assert baseline.run.model == "means"
    assert baseline.run.settings["width"] == 3
    assert baseline.run.metric == baseline.test.metric == "worst"
    assert record.steps["count"].answer == "120 images"
    assert read_record(tmp_path / "out/results.json", StudyRecord) == record
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "How many?" in page
    assert "worst" in page
    assert CountingExecutor.ran, "the executor trained"
