"""What a study will do: rules that follow from the data, and a budget of minutes."""

from tellapart.plan.budget import plan_study
from tellapart.plan.needs import reckon_needs, weigh_training
from tellapart.plan.paces import LEAST_GAIN, Measure, Paces, is_worth
from tellapart.plan.rules import (
    StudySettings,
    SweepSettings,
    TransferSettings,
    plan_batch,
    plan_epochs,
    plan_head,
    plan_heads,
    plan_recipe,
    plan_seeds,
    plan_swept,
    plan_tuning,
)

__all__ = [
    "LEAST_GAIN",
    "Measure",
    "Paces",
    "StudySettings",
    "SweepSettings",
    "TransferSettings",
    "is_worth",
    "plan_batch",
    "plan_epochs",
    "plan_head",
    "plan_heads",
    "plan_recipe",
    "plan_seeds",
    "plan_study",
    "plan_swept",
    "plan_tuning",
    "reckon_needs",
    "weigh_training",
]
