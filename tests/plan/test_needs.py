"""What a plan says of memory and disk: grows with the networks, and holds for a real training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import TrainSettings
from tellapart.data import load_images
from tellapart.models import Shape, SimpleSettings
from tellapart.plan import (
    Paces,
    StudySettings,
    SweepSettings,
    plan_study,
    reckon_needs,
    weigh_training,
)
from tellapart.records import PlanRecord, Scalar
from tellapart.study.plans import describe_plan
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

CIFAR = Shape(3, 32, 10)
ASKED = StudySettings(minutes=1000)
ROOT = Path(__file__).resolve().parents[2]


def make_plan(gain: float = 1.0) -> PlanRecord:
    count = 2 if gain > 1 else 1
    paces = Paces(lambda model: 1e-5 * model.model_dump()["width"], lambda model: gain, count)
    plan = plan_study(ASKED, CIFAR, 45_000, paces)
    plan = plan.model_copy(update={"processes": count})
    return plan.model_copy(update={"needs": reckon_needs(plan, ASKED, CIFAR)})


def test_every_step_that_trains_has_its_needs() -> None:
    plan = make_plan()
    assert plan.needs.keys() == plan.expected.keys() == {"baseline", "conv", "dense", "search"}
    assert plan.needs["conv"].memory_mb > plan.needs["baseline"].memory_mb
    assert plan.needs["conv"].disk_mb > plan.needs["baseline"].disk_mb
    text = describe_plan(plan)
    assert text.count("of memory") == text.count("± 30 %") == 4
    assert text.count("further seeds") == 2
    fixed = ASKED.model_copy(update={"sweep": SweepSettings(seeds=3)})
    plan = plan_study(fixed, CIFAR, 45_000, Paces(lambda model: 1e-5 * model.model_dump()["width"]))
    assert "further seeds" not in describe_plan(plan)


def test_networks_side_by_side_need_their_memory_together() -> None:
    one, several = make_plan(), make_plan(1.5)
    assert several.sweeps["conv"].apart
    assert several.needs["conv"].memory_mb > 1.9 * one.needs["conv"].memory_mb
    assert "in 2 processes, one core each" in describe_plan(several)


MEASURED = """
import re, sys
from pathlib import Path
import numpy as np
from tellapart.config import TrainSettings
from tellapart.data import load_images
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model
from tests.plan.test_needs import WIDE

rows = Rows(np.arange(512), np.arange(512, 640))
train_model(load_images("digits"), rows, Task(WIDE, TrainSettings(epochs=2)), Path(sys.argv[1]))
status = Path("/proc/self/status").read_text()
most, shared = (re.search(rf"{name}:\\s+(\\d+) kB", status)[1] for name in ("VmHWM", "RssFile"))
print(int(most) - int(shared))
"""
WIDE = SimpleSettings(width=1024, dense=1024)
"""Of 9.5 million weights, on 8 px."""


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts memory in other units")
def test_a_training_takes_no_more_memory_than_was_reckoned(tmp_path: Path) -> None:
    code = [sys.executable, "-c", MEASURED, str(tmp_path)]
    said = subprocess.run(code, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    taken = 1024 * int(said)  # of its own: libraries are in the memory once for all processes
    assert 0.4 * weigh_training(WIDE, Shape(1, 8, 10)) < taken
    assert taken <= weigh_training(WIDE, Shape(1, 8, 10))


def test_settings_that_vary_have_their_needs_too() -> None:
    vary: dict[str, tuple[Scalar, ...]] = {"dense": (16, 256)}
    asked = StudySettings(steps=(), sweep=SweepSettings(vary=vary, seeds=2))
    plan = plan_study(asked, CIFAR, 45_000, Paces(lambda model: 1e-5))
    needs = reckon_needs(plan, asked, CIFAR)
    assert needs.keys() == {"grid"}
    assert needs["grid"].memory_mb == weigh_training(SimpleSettings(dense=256), CIFAR) / 1e6
    plan = plan.model_copy(update={"needs": needs})
    assert "grid: 2 levels, 2 seeds" in describe_plan(plan)
    assert "of memory" in describe_plan(plan)
    assert "further seeds" not in describe_plan(plan)
    auto = StudySettings(steps=(), minutes=600, sweep=SweepSettings(vary=vary))
    plan = plan_study(auto, CIFAR, 45_000, Paces(lambda model: 1e-5))
    assert "further seeds" in describe_plan(plan)


def test_a_training_takes_no_more_room_than_was_reckoned(tmp_path: Path) -> None:
    model = SimpleSettings(width=64, dense=256)
    rows = Rows(np.arange(512), np.arange(512, 640))
    train_model(load_images("digits"), rows, Task(model, TrainSettings(epochs=2)), tmp_path)
    need = reckon_needs(make_plan(), ASKED.model_copy(update={"model": model}), Shape(1, 8, 10))
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size / 1e6 <= need["baseline"].disk_mb
