"""What steps were reckoned to take, beside what they took."""

from __future__ import annotations

from dataclasses import dataclass

from tellapart.records import STEPS, StepName, StudyRecord, SweepPlan, SweepStep
from tellapart.report.wording import TITLES


@dataclass(frozen=True)
class Timing:
    """Seconds of a step, or with ``further`` of the seeds that a sweep spent where they decided.

    ``planned`` is then the most that these might take.
    """

    title: str
    planned: float
    took: float
    further: bool = False


def list_timings(record: StudyRecord) -> tuple[Timing, ...]:
    """Return the timings of the steps for which there was a plan, in the order of the study."""
    found: list[Timing] = []
    for name in STEPS:
        step, planned = record.steps.get(name), record.plan.expected.get(name)
        if step is None or planned is None:
            continue
        further = 0.0
        if isinstance(step, SweepStep) and name in record.plan.sweeps:
            further = sum_further(step, record.plan.sweeps[name], record.plan.processes)
        found.append(Timing(TITLES[name], planned, step.seconds - further))
        if further:
            found.append(_time_further(name, record.plan.sweeps[name], further))
    return tuple(found)


def _time_further(name: StepName, plan: SweepPlan, took: float) -> Timing:
    allowed = plan.extra_seconds if plan.extra_seconds is not None else took
    return Timing(f"{TITLES[name]}, further seeds", allowed, took, further=True)


def sum_further(step: SweepStep, plan: SweepPlan, processes: int) -> float:
    """Return the seconds of the trainings beyond the seeds that every size has.

    Those that were trained side by side count for their part.
    """
    first = min((run.seed for run in step.runs), default=0) + plan.seeds
    seconds = 0.0
    for run in step.runs:
        here = run.folder.split("/")[0] == step.step  # not read from another step's
        if here and run.seed >= first:
            apart = run.settings.get(step.setting) in plan.apart
            seconds += run.seconds / (processes if apart else 1)
    return seconds
