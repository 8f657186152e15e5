"""What a step of a study is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tellapart.records import StepPlan, StepRecord
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline


@dataclass(frozen=True)
class Step:
    """One question of the study.

    Attributes:
        run: does what its plan says, until a deadline, and returns its record; the study fills in
            what it was given and took, and the answer.
        plan: chooses what to do in so many seconds; raises `NoTime` where nothing can be.
        plan_kind: the type of the plan.
        weight: how the time that is left is shared among the steps to come.
        usual: whether it is part of a study that names no steps.
        optional: whether a study that did not name it goes on without it where it cannot be done.
        applies: whether there is anything for it to do, once those before it are done.
        check: finds out, before anything starts, what would stop it after an hour.
    """

    run: Callable[[Context, Any, Deadline], StepRecord]
    plan: Callable[[Context, float], StepPlan]
    plan_kind: type[StepPlan] = StepPlan
    weight: float = 0.0
    usual: bool = True
    optional: bool = False
    applies: Callable[[Context], bool] = lambda context: True
    check: Callable[[Context], None] = lambda context: None
