from __future__ import annotations

import re

import numpy as np
import pytest

from tellapart.config import TrainSettings
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import score_classes
from tellapart.models import SimpleSettings, read_network
from tellapart.records import Confirmation, EpochRow, RunRecord, TestRecord, TrialRecord
from tellapart.study.answers import (
    answer_baseline,
    answer_search,
    describe_fit,
    describe_network,
    say_confirmation,
    say_optimism,
)

from ..search.runs import make_run


def make_trained(augment: str, accuracies: list[tuple[float, float]]) -> RunRecord:
    """A run whose epochs had these accuracies in training and on val."""
    run = make_run(SimpleSettings(), TrainSettings(augment=augment), 0.9)
    history = tuple(
        EpochRow(
            epoch=number,
            seconds=1.0,
            lr=1e-3,
            loss=0.5,
            accuracy=accuracy,
            val_loss=0.5,
            val_accuracy=val,
            val_score=val,
        )
        for number, (accuracy, val) in enumerate(accuracies, start=1)
    )
    return run.model_copy(update={"history": history, "best_epoch": 1})


def make_trial() -> TrialRecord:
    return TrialRecord(
        number=1, status="done", cell="c", settings={}, parameters=1, seconds=1.0,
        predict_seconds=0.1, val_accuracy=estimate_proportion(9, 10), note="",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["simple", "deep", "stages"])
def test_the_augmentation_is_said_with_any_network(name: str) -> None:
    model = read_network(name)
    plain = describe_network(make_run(model, TrainSettings(), 0.9))
    said = describe_network(make_run(model, TrainSettings(augment="light+flip"), 0.9))
    assert "augmentation" not in plain
    assert said == f"{plain}, flip+shift augmentation"


@pytest.mark.parametrize(
    ("augment", "last", "said"),
    [
        ("standard", (0.9, 0.89), "it does not overfit"),
        ("standard", (0.99, 0.89), "10 points better .*: it overfits.*images, a smaller network.$"),
        ("none", (0.99, 0.89), "it overfits.*tellapart train --augment standard"),
        ("strong", (0.6, 0.89), "mixed, so their accuracy cannot show whether it overfits"),
        ("cutmix", (0.6, 0.89), "mixed, so their accuracy cannot show whether it overfits"),
        ("mixup", (0.99, 0.89), "10 points better .*: it overfits"),
    ],
)
def test_mixed_images_do_not_show_that_nothing_overfits(
    augment: str, last: tuple[float, float], said: str
) -> None:
    run = make_trained(augment, [(0.5, 0.9), last])
    assert re.search(said, describe_fit(run))


@pytest.mark.parametrize("loss", [3e12, float("inf"), float("nan")])
def test_an_exploded_loss_is_no_good_fit(loss: float) -> None:
    run = make_trained("none", [(0.3, 0.34), (0.33, 0.33)])
    last = run.history[-1].model_construct(**{**dict(run.history[-1]), "val_loss": loss})
    said = describe_fit(run.model_copy(update={"history": (*run.history[:-1], last)}))
    assert "does not overfit" not in said and "smaller --lr" in said


@pytest.mark.parametrize(("rare", "learnt"), [(0, False), (4, True)])
def test_a_model_no_better_than_one_answer_has_learnt_nothing(rare: int, learnt: bool) -> None:
    """Of 8 images of a rare class beside 800, some are found, or none."""
    confusion = np.array([[800, 0], [8 - rare, rare]])
    test = TestRecord(
        accuracy=estimate_proportion(800 + rare, 808),
        loss=0.05,
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
        per_class=score_classes(confusion, ("good", "defect")),
        look=1,
        predictions="0" * 64,
        optimistic=False,
    )
    run = make_trained("none", [(0.9, 0.99), (0.99, 0.99)])
    for said in (
        answer_baseline(run, test, ("good", "defect")),
        answer_search((make_trial(),), None, run, test),
    ):
        assert ("no better than always answering 'good'" in said) != learnt
    said = answer_baseline(run, test, ("good", "defect"))
    assert ("does not overfit" in said) == learnt


@pytest.mark.parametrize(
    ("last", "said"), [(0.87, "gets 87.0 %, 3.0 points less."), (0.90, "90.0 %, as much")]
)
def test_choosing_the_epoch_on_test_is_set_against_an_epoch_that_nothing_chose(
    last: float, said: str
) -> None:
    run = make_trained("none", [(0.9, 0.9), (0.9, last)])
    assert say_optimism(run) == ""
    assert said in say_optimism(run.model_copy(update={"chosen_on": "test"}))


@pytest.mark.parametrize(
    ("luck", "said"), [(0.012, "1.2 points of the score were luck"), (-0.01, "no luck")]
)
def test_a_confirmed_score_says_how_much_was_luck(luck: float, said: str) -> None:
    score = estimate_proportion(620, 1000)
    found = Confirmation(
        score=score,
        accuracy=score.model_copy(update={"value": 0.62 - luck}),
        seeds=(0.61, 0.6),
        luck=luck,
    )
    sentence = say_confirmation(found, "val")
    assert "62.0 % of val" in sentence and "2 fresh seeds" in sentence
    assert said in sentence
