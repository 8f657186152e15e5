"""How a search is cut to its seconds, on the pace of a CPU."""

from __future__ import annotations

import pytest

from tellapart.models import NetworkSettings, Shape
from tellapart.models.network import WIDTHS
from tellapart.plan.paces import Measure, Paces, gain_nothing
from tellapart.plan.rules import StudySettings
from tellapart.plan.searches import AGAIN, LONGER, cut_search, plan_search
from tellapart.records import SearchPlan

CIFAR, IMAGES = Shape(3, 32, 10), 45_000
EPOCH = dict(zip(WIDTHS, (22.0, 25.0, 29.0, 40.0, 55.0), strict=True))
"""Seconds an epoch of a speednet with so many filters."""


def cut(seconds: float, gain: Measure = gain_nothing, **asked: object) -> SearchPlan:
    def measure(model: NetworkSettings) -> float:
        return EPOCH[int(model.model_dump()["width"])] / IMAGES

    settings, paces = StudySettings.model_validate(asked), Paces(measure, gain, processes=2)
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


@pytest.mark.parametrize(("seconds", "width"), [(460, 32), (350, 32), (340, 24), (250, 16)])
def test_where_epochs_are_named_a_winner_is_trained_no_longer_than_its_trial(
    seconds: float, width: int
) -> None:
    plan = cut(seconds, trials=4, epochs=2)
    assert plan.trial_seconds == seconds / 2
    assert (plan.width, plan.trial_epochs) == (width, 2)


@pytest.mark.parametrize(
    ("seconds", "gaining", "width", "at_once"),
    [(1000, (24, 32), 32, 2), (1362, (24, 32), 48, 1), (1000, (32,), 32, 1), (1362, WIDTHS, 48, 2)],
)
def test_trials_are_made_at_once_only_where_the_widest_gains_too(
    seconds: float, gaining: tuple[int, ...], width: int, at_once: int
) -> None:
    plan = cut(seconds, lambda model: 1.6 if model.model_dump()["width"] in gaining else 1.0)
    assert (plan.width, plan.at_once) == (width, at_once)


def test_images_below_4_px_have_networks_of_stages() -> None:
    settings, shape = StudySettings(), Shape(1, 3, 2)
    paces = Paces(lambda model: 1e-3 if model.name == "stages" else float("nan"))
    plan = cut_search(plan_search(settings, shape, 1000, paces), settings, shape, 1000, 30.0, paces)
    assert plan.width in WIDTHS
    assert plan.trial_seconds == 15.0
