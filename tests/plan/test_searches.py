"""How a search is cut to its seconds, on the pace of a CPU."""

from __future__ import annotations

import pytest

from tellapart.config import WIDTHS, ModelSettings
from tellapart.models import Shape
from tellapart.plan.paces import Paces
from tellapart.plan.rules import StudySettings
from tellapart.plan.searches import AGAIN, LONGER, cut_search, find_middle, plan_search
from tellapart.records import SearchPlan

CIFAR, IMAGES = Shape(3, 32, 10), 45_000
EPOCH = dict(zip(WIDTHS, (22.0, 25.0, 29.0, 40.0, 55.0), strict=True))
"""Seconds an epoch of a speednet with so many filters."""


def cut(seconds: float, **asked: object) -> SearchPlan:
    def measure(model: ModelSettings) -> float:
        return EPOCH[model.width] / IMAGES

    settings, paces = StudySettings.model_validate(asked), Paces(measure)
    plan = plan_search(settings, CIFAR, IMAGES, paces)
    return cut_search(plan, settings, CIFAR, IMAGES, seconds, paces)


@pytest.mark.parametrize(
    ("seconds", "width", "epochs"),
    [(2300, 64, 4), (1700, 64, 3), (1362, 48, 3), (1000, 32, 3), (850, 16, 3), (10, 16, 3)],
)
def test_networks_are_as_wide_as_trials_and_winner_have_time_for(
    seconds: float, width: int, epochs: int
) -> None:
    plan = cut(seconds)
    assert (plan.width, plan.trial_epochs) == (width, epochs)
    assert plan.trial_seconds == plan.winner_seconds == seconds / 2
    assert width == WIDTHS[0] or (AGAIN + LONGER) * epochs * EPOCH[width] <= seconds / 2


def test_the_widest_may_be_any_where_trials_are_few_and_short() -> None:
    assert cut(1700, trials=1, epochs=1).width == WIDTHS[-1]


def test_middling_widths_are_widths_that_are_tried() -> None:
    for width in WIDTHS:
        assert find_middle(width) in WIDTHS
        assert find_middle(width) <= width
