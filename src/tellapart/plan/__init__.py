"""What a study will do: rules that follow from the data, and a budget of minutes."""

from tellapart.plan.budget import LEAST_SAVED, plan_study
from tellapart.plan.rules import (
    StudySettings,
    SweepSettings,
    TransferSettings,
    plan_batch,
    plan_epochs,
    plan_head,
    plan_recipe,
    plan_swept,
)

__all__ = [
    "LEAST_SAVED",
    "StudySettings",
    "SweepSettings",
    "TransferSettings",
    "plan_batch",
    "plan_epochs",
    "plan_head",
    "plan_recipe",
    "plan_study",
    "plan_swept",
]
