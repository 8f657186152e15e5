from __future__ import annotations

import re

import pytest

from tellapart.config import ModelSettings, TrainSettings
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import Confirmation, EpochRow, RunRecord
from tellapart.study.answers import (
    describe_fit,
    describe_network,
    say_confirmation,
    say_optimism,
)

from ..search.runs import make_run


def make_trained(augment: str, accuracies: list[tuple[float, float]]) -> RunRecord:
    """A run whose epochs had these accuracies in training and on val."""
    run = make_run(ModelSettings(), TrainSettings(augment=augment), 0.9)
    history = tuple(
        EpochRow(
            epoch=number,
            seconds=1.0,
            lr=1e-3,
            loss=0.5,
            accuracy=accuracy,
            val_loss=0.5,
            val_accuracy=val,
        )
        for number, (accuracy, val) in enumerate(accuracies, start=1)
    )
    return run.model_copy(update={"history": history, "best_epoch": 1})


@pytest.mark.parametrize("name", ["simple", "deep", "stages"])
def test_the_augmentation_is_said_with_any_network(name: str) -> None:
    model = ModelSettings.model_validate({"name": name})
    plain = describe_network(make_run(model, TrainSettings(), 0.9))
    said = describe_network(make_run(model, TrainSettings(augment="light+flip"), 0.9))
    assert "augmentation" not in plain
    assert said == f"{plain}, flip+shift augmentation"


@pytest.mark.parametrize(
    ("augment", "last", "said"),
    [
        ("standard", (0.9, 0.89), "it does not overfit"),
        ("standard", (0.99, 0.89), "10 points better .*: it overfits"),
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
