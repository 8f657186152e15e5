from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.data.dataset import Dataset
from tellapart.models.network import WIDTHS
from tellapart.records import SearchPlan, SearchStep, StudyRecord
from tellapart.study.deadline import NoTime
from tellapart.study.settings import SearchSettings, StudySettings
from tellapart.study.steps.search import plan_search
from tests.study.contexts import make_context


def plan(
    digits: Dataset, folder: Path, seconds: float, settings: StudySettings | None = None
) -> SearchPlan:
    """Plan on a machine where an epoch of any network takes a second."""
    return plan_search(make_context(digits, settings or StudySettings(), folder), seconds)


def test_less_time_is_shorter_trials_then_fewer_then_a_part_of_the_images(
    tmp_path: Path, digits: Dataset
) -> None:
    plans = [plan(digits, tmp_path, seconds) for seconds in (1e9, 250.0, 100.0, 30.0)]
    got = [(one.trials, one.trial_epochs, one.width, one.share) for one in plans]
    assert got[:2] == [(8, 20, WIDTHS[-1], 1.0), (8, 17, WIDTHS[-1], 1.0)]
    assert got[2] == (4, 12, WIDTHS[0], 1.0)
    assert got[3] == (2, 12, WIDTHS[0], 0.5)
    assert plans[0].cut == () and plans[1].cut == ("trials of 17 epochs, of 20",)
    assert "50 % of the training images" in plans[3].cut
    with pytest.raises(NoTime) as refused:
        plan(digits, tmp_path, 4.0)
    assert plan(digits, tmp_path, refused.value.needed + 0.01).share == 1 / 4


def test_trials_and_epochs_that_were_named_stay(tmp_path: Path, digits: Dataset) -> None:
    named = StudySettings(epochs=5, search=SearchSettings(trials=6))
    short = plan(digits, tmp_path, 40.0, named)
    assert (short.trials, short.trial_epochs) == (6, 5)
    assert short.share < 1


def test_the_winner_is_one_of_the_trials_and_was_trained_again(
    whole: tuple[StudyRecord, Path],
) -> None:
    step = whole[0].steps["search"]
    assert isinstance(step, SearchStep)
    assert len(step.trials) == 2
    best = step.trials[step.best_trial - 1]
    assert best.val_score == max(
        (one.val_score for one in step.trials if one.val_score), key=lambda score: score.value
    )
    assert step.confirmation is not None and len(step.confirmation.seeds) == 3
    assert step.run.seed != best.settings.get("seed", 0)
    assert step.run.cell != best.cell
