"""What is in the data?"""

from __future__ import annotations

from tellapart.audit import audit_images
from tellapart.records import InspectStep, StepPlan
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline
from tellapart.study.steps.step import Step


def plan_inspect(context: Context, seconds: float) -> StepPlan:
    """Nothing is trained: there is nothing to choose."""
    return StepPlan(text="counts, balance, duplicates, samples")


def run_inspect(context: Context, plan: StepPlan, deadline: Deadline) -> InspectStep:
    """Count and compare the images, and draw samples."""
    context.reporter.expect(1)
    record = audit_images(context.dataset, context.seal.split, context.folder / "inspect")
    context.reporter.advance(1, "counted and compared the images")
    return record


STEP = Step(run=run_inspect, plan=plan_inspect)
