"""A search gives up the seconds that the steps before it took beyond their plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split
from tellapart.evaluate import Seal
from tellapart.plan import StudySettings
from tellapart.records import StepName
from tellapart.study.bench import Bench
from tellapart.study.reporter import SilentReporter
from tellapart.study.steps import count_late


def test_what_steps_took_beyond_their_plan_and_further_seeds_is_counted(
    digits: Dataset, tmp_path: Path
) -> None:
    settings = StudySettings(minutes=5, device="cpu")
    split = make_split(digits)
    bench = Bench(
        settings, digits, split, Seal(digits, split, tmp_path), tmp_path, SilentReporter()
    )
    plan = bench.plan
    assert plan.expected.keys() >= {"baseline", "conv", "dense", "search"}
    assert count_late(bench) == 0.0
    further = sum(sweep.extra_seconds or 0.0 for sweep in plan.sweeps.values())
    bench.clock.keep("conv", "a cell", further)
    steps: tuple[StepName, ...] = ("baseline", "conv", "dense")
    for step in steps:
        bench.clock.add(step, "another", plan.expected.get(step, 0.0))
    assert count_late(bench) == pytest.approx(0.0, abs=1e-6)
    bench.clock.add("dense", "another", 30.0)
    assert count_late(bench) == pytest.approx(30.0)
