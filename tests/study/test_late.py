"""A search gives up what the steps before it leave too little time for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split
from tellapart.errors import WorkspaceError
from tellapart.evaluate import Seal
from tellapart.plan import StudySettings
from tellapart.records import SearchPlan, StudyRecord
from tellapart.study import run_study
from tellapart.study.bench import Bench
from tellapart.study.clock import Clock
from tellapart.study.reporter import SilentReporter
from tellapart.study.steps import count_late, shorten_search
from tellapart.workspace import write_json

MINUTES = 5.0


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    settings = StudySettings(steps=("baseline",), epochs=1, device="cpu")
    return run_study(digits, settings, tmp_path_factory.mktemp("late") / "study")


def make_bench(digits: Dataset, folder: Path) -> Bench:
    settings = StudySettings(minutes=MINUTES, device="cpu")
    split = make_split(digits)
    return Bench(settings, digits, split, Seal(digits, split, folder), folder, SilentReporter())


def take(bench: Bench, study: StudyRecord, seconds: float) -> None:
    """Have a baseline that took so many seconds."""
    step = study.steps["baseline"].model_copy(update={"seconds": seconds})
    write_json(bench.folder / "baseline" / "record.json", step)


def sum_limits(plan: SearchPlan) -> float:
    assert plan.trial_seconds is not None and plan.winner_seconds is not None
    return plan.trial_seconds + plan.winner_seconds


def test_a_search_keeps_the_study_to_its_minutes(
    digits: Dataset, study: StudyRecord, tmp_path: Path
) -> None:
    bench = make_bench(digits, tmp_path)
    plan = bench.plan.search
    assert plan is not None
    limit, whole = sum_limits(plan), max(60 * MINUTES, bench.plan.seconds)
    assert count_late(bench, plan) == 0.0
    take(bench, study, whole - limit)
    assert count_late(bench, plan) == pytest.approx(0.0, abs=1e-6)
    take(bench, study, whole - limit + limit / 4)
    assert count_late(bench, plan) == pytest.approx(limit / 4)
    assert sum_limits(shorten_search(bench, plan)) == pytest.approx(limit * 3 / 4)
    take(bench, study, whole)
    again = make_bench(digits, tmp_path)
    assert sum_limits(shorten_search(again, plan)) == pytest.approx(limit * 3 / 4), "settled"


@pytest.mark.parametrize("content", ["{}", "null", '"x"', "{"])
def test_a_decision_that_was_altered_is_refused_by_name(
    content: str, digits: Dataset, tmp_path: Path
) -> None:
    bench = make_bench(digits, tmp_path)
    assert bench.settle("search", "late", float, lambda: 2.5) == 2.5
    assert bench.settle("search", "late", float, lambda: 3.5) == 2.5
    (tmp_path / "search" / "late.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"late\.json"):
        bench.settle("search", "late", float, lambda: 2.5)


@pytest.mark.parametrize("content", ["{}", "[1]", "null", '{"part": "x", "seconds": "y"}'])
def test_a_clock_that_was_altered_is_refused_by_name(content: str, tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.keep("search", "x", 2.5)
    assert clock.read("search") == clock.read_part("search", "x") == 2.5
    (path,) = (tmp_path / "search" / "clock").iterdir()
    path.write_text(content)
    with pytest.raises(WorkspaceError, match=path.name):
        clock.read("search")
