from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.records import StudyRecord, SweepPlan, SweepStep
from tellapart.report.page import render_report
from tellapart.report.timing import list_timings, sum_further
from tellapart.report.wording import TITLES, say_seconds


def plan_sweep(step: SweepStep, seeds: int, apart: tuple[int, ...] = ()) -> SweepPlan:
    return SweepPlan(
        sizes=tuple(row.size for row in step.sizes),
        left_out=(),
        seeds=seeds,
        most_seeds=10,
        extra_seconds=700.0,
        epochs=3,
        apart=apart,
        seconds=1100.0,
    )


def test_seeds_beyond_the_planned_ones_are_a_row_of_their_own(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    third = [run.seconds for run in step.runs if run.seed == 2]
    assert third and sum(third) > 0
    plan = study.plan.model_copy(update={"sweeps": {"conv": plan_sweep(step, 2)}})
    own, further = (
        row
        for row in list_timings(study.model_copy(update={"plan": plan}))
        if row.title.startswith(TITLES["conv"])
    )
    assert further.further and not own.further
    assert (own.planned, further.planned) == (study.plan.expected["conv"], 700.0)
    assert further.took == pytest.approx(sum(third))
    assert own.took + further.took == pytest.approx(step.seconds)


def test_without_further_seeds_a_step_has_one_row(study: StudyRecord) -> None:
    rows = list_timings(study)
    assert len(rows) == len(study.plan.expected)
    asked = [step.seconds for name, step in study.steps.items() if name in study.plan.expected]
    assert [row.took for row in rows] == asked


def test_trainings_side_by_side_count_for_their_part(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    alone = sum_further(step, plan_sweep(step, 1), 2)
    sizes = tuple(row.size for row in step.sizes)
    assert sum_further(step, plan_sweep(step, 1, sizes), 2) == pytest.approx(alone / 2)
    assert sum_further(step, plan_sweep(step, 3), 2) == 0


def test_first_seeds_that_failed_make_no_further_ones(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    plan = plan_sweep(step, 2)
    whole = sum_further(step, plan, 1)
    without = tuple(run for run in step.runs if run.seed != 0 or run is step.runs[0])
    assert len(without) < len(step.runs)
    assert sum_further(step.model_copy(update={"runs": without}), plan, 1) == whole


def test_trainings_read_from_another_step_took_no_time_here(study: StudyRecord) -> None:
    step = study.steps["dense"]
    assert isinstance(step, SweepStep)
    plan = plan_sweep(step, 2)
    whole = sum_further(step, plan, 1)
    last = max(step.runs, key=lambda run: run.seed)
    assert last.seed == 2
    runs = tuple(
        run.model_copy(update={"folder": f"conv/{run.cell}"}) if run is last else run
        for run in step.runs
    )
    found = sum_further(step.model_copy(update={"runs": runs}), plan, 1)
    assert found == pytest.approx(whole - last.seconds)


def test_the_page_says_how_much_further_seeds_might_take(
    study: StudyRecord, tmp_path: Path
) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    plan = study.plan.model_copy(update={"sweeps": {"conv": plan_sweep(step, 2)}})
    page = render_report(study.model_copy(update={"plan": plan}), tmp_path)
    assert "further seeds</th>" in page
    assert "up to 11 min 40 s" in page
    foot = page[page.index("further seeds aside") :]
    own = sum(study.plan.expected.values())
    assert say_seconds(own) in foot[: foot.index("</tfoot>")]
    assert "further seeds aside" not in render_report(study, tmp_path)
