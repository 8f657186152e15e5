"""What a plan says of memory and disk: grows with the networks, and holds for a real training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data import load_images
from tellapart.models import Shape
from tellapart.plan import Paces, StudySettings, plan_study, reckon_needs, weigh_training
from tellapart.records import PlanRecord
from tellapart.study.plans import describe_plan
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

CIFAR = Shape(3, 32, 10)
ASKED = StudySettings(minutes=1000)


def make_plan(gain: float = 1.0) -> PlanRecord:
    paces = Paces(lambda model: 1e-5 * model.width, lambda model: gain)
    plan = plan_study(ASKED, CIFAR, 45_000, paces)
    plan = plan.model_copy(update={"processes": 2 if gain > 1 else 1})
    return plan.model_copy(update={"needs": reckon_needs(plan, ASKED, CIFAR)})


def test_every_step_that_trains_has_its_needs() -> None:
    plan = make_plan()
    assert plan.needs.keys() == plan.expected.keys() == {"baseline", "conv", "dense", "search"}
    assert plan.needs["conv"].memory_mb > plan.needs["baseline"].memory_mb
    assert plan.needs["conv"].disk_mb > plan.needs["baseline"].disk_mb
    text = describe_plan(plan)
    assert text.count("of memory") == text.count("± 30 %") == 4


def test_networks_side_by_side_need_their_memory_together() -> None:
    one, several = make_plan(), make_plan(1.5)
    assert several.sweeps["conv"].apart
    assert several.needs["conv"].memory_mb > 1.9 * one.needs["conv"].memory_mb
    assert "in 2 processes, one core each" in describe_plan(several)


def test_a_training_takes_no_more_than_was_reckoned(tmp_path: Path) -> None:
    model = ModelSettings(width=64, dense=256)
    rows = Rows(np.arange(512), np.arange(512, 640))
    run = train_model(load_images("digits"), rows, Task(model, TrainSettings(epochs=2)), tmp_path)
    need = reckon_needs(make_plan(), ASKED.model_copy(update={"model": model}), Shape(1, 8, 10))
    assert 0.1 * need["baseline"].memory_mb < run.peak_memory_mb
    assert weigh_training(model, Shape(1, 8, 10)) / 1e6 == need["baseline"].memory_mb
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size / 1e6 <= need["baseline"].disk_mb
