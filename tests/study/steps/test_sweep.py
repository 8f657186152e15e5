from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.models import SimpleSettings
from tellapart.records import RunRecord, SweepStep
from tellapart.study.deadline import NoTime
from tellapart.study.settings import ComputeSettings, StudySettings, SweepSettings
from tellapart.study.steps import STEPS
from tellapart.study.study import run_study
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.workspace import write_json
from tests.study.contexts import make_context


def test_less_time_is_fewer_epochs_then_seeds_then_sizes(tmp_path: Path, digits: Dataset) -> None:
    """On a machine where an epoch takes a second."""
    context = make_context(digits, StudySettings(), tmp_path)
    plans = [STEPS["conv"].plan(context, seconds) for seconds in (1e9, 300.0, 100.0, 30.0, 5.0)]
    got = [(plan.epochs, len(plan.sizes), plan.seeds, plan.share) for plan in plans]  # type: ignore[attr-defined]  # of a sweep
    assert got == [
        (20, 7, 3, 1.0),
        (12, 7, 3, 1.0),
        (6, 6, 2, 1.0),
        (6, 3, 2, 0.5),
        (1, 3, 2, 0.25),
    ]
    assert plans[0].cut == ()
    assert plans[3].cut == (
        "6 epochs of 20",
        "without the sizes 128, 256, 512, 1024",
        "2 seeds of 3",
        "50 % of the training images",
    )
    assert plans[0].text == (
        "sizes 16, 32, 64, 128, 256, 512, 1024; 3 seeds (up to 10 where they decide) of 20 epochs"
    )
    with pytest.raises(NoTime) as refused:
        STEPS["conv"].plan(context, 3.0)
    assert STEPS["conv"].plan(context, refused.value.needed + 0.01).share == 1 / 4  # type: ignore[attr-defined]


def test_what_was_named_stays_whatever_the_time(tmp_path: Path, digits: Dataset) -> None:
    sweep = SweepSettings(seeds="4", sizes={"dense": (4, 8, 16, 32)})
    context = make_context(digits, StudySettings(epochs=3, sweep=sweep), tmp_path)
    plan = STEPS["dense"].plan(context, 30.0)
    assert (plan.epochs, plan.sizes, plan.seeds, plan.share) == (3, (4, 8, 16, 32), 4, 0.25)  # type: ignore[attr-defined]


def test_part_of_the_images_is_trained_on_where_nothing_else_is_left(
    tmp_path: Path, digits: Dataset
) -> None:
    settings = StudySettings(
        steps=("conv",), epochs=1, sweep=SweepSettings(seeds="1", sizes={"conv": (2, 4)})
    )
    context = make_context(digits, settings, tmp_path)
    plan = STEPS["conv"].plan(context, 4.5)
    assert plan.share < 1 and plan.cut == (f"{100 * plan.share:.0f} % of the training images",)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_equal_settings_are_one_cell_whatever_the_step(tmp_path: Path, digits: Dataset) -> None:
    settings = StudySettings(
        steps=("conv", "dense"),
        epochs=1,
        sweep=SweepSettings(seeds="1", sizes={"conv": (32, 64), "dense": (64, 128)}),
        compute=ComputeSettings(device="cpu", processes="1"),
    )
    record = run_study(digits, settings, tmp_path / "s")
    conv, dense = record.steps["conv"], record.steps["dense"]
    assert isinstance(conv, SweepStep) and isinstance(dense, SweepStep)
    assert dense.runs[1] == conv.runs[1]
    assert len(list((tmp_path / "s").glob("*/*/record.json"))) == 3
    for path in (tmp_path / "s").glob("*/*/record.json"):  # as if each had taken long
        write_json(path, json.loads(path.read_text()) | {"seconds": 1000.0})
    (tmp_path / "s" / "dense" / "record.json").unlink()
    again = run_study(digits, settings, tmp_path / "s").steps["dense"]
    assert 1000 <= again.seconds < 2000, "what conv trained took conv's time"


def test_a_failed_training_is_counted_and_not_done_again(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Width 8 fails with seed 1, and width 16 with both."""
    failing = {(8, 1), (16, 0), (16, 1)}
    tried: list[tuple[int, int]] = []

    def fit(dataset: Dataset, rows: Rows, task: Task, folder: Path, *watch: Any) -> RunRecord:
        assert isinstance(task.model, SimpleSettings)
        place = (task.model.width, task.recipe.seed)
        tried.append(place)
        if place in failing:
            recipe = TrainSettings(epochs=1, lr=1e30, schedule="constant")
            task = Task(SimpleSettings(width=4, dense=8), recipe, "cpu", precision="float32")
        return fit_network(dataset, rows, task, folder, *watch)

    monkeypatch.setattr("tellapart.cells.cell.fit_network", fit)
    settings = StudySettings(
        steps=("conv",),
        epochs=1,
        sweep=SweepSettings(seeds="2", sizes={"conv": (4, 8, 16)}),
        compute=ComputeSettings(device="cpu", processes="1"),
    )
    step = run_study(digits, settings, tmp_path / "s").steps["conv"]
    assert isinstance(step, SweepStep)
    assert [(size.size, size.failed, len(size.seeds)) for size in step.sizes] == [
        (4, 0, 2),
        (8, 1, 1),
    ]
    assert [left.size for left in step.left_out] == [16]
    assert "Not counted are trainings that failed: 1." in step.answer
    assert "(1 failed)" in (tmp_path / "s" / "report.html").read_text()
    assert len(tried) == 6
    (tmp_path / "s" / "conv" / "record.json").unlink()
    again = run_study(digits, settings, tmp_path / "s").steps["conv"]
    assert isinstance(again, SweepStep)
    assert (again.sizes, again.ranking) == (step.sizes, step.ranking)
    assert len(tried) == 6
