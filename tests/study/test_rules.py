from __future__ import annotations

import pytest

from tellapart.config import NOTEBOOK, HeadSettings, RecipeSettings, TuneSettings
from tellapart.models import DeepSettings, Shape, SimpleSettings, SpeedSettings
from tellapart.study.rules import (
    MOST_PARAMETERS,
    MOST_SEEDS,
    SIZES,
    find_rules,
    plan_batch,
    plan_epochs,
    plan_heads,
    plan_minutes,
    plan_recipe,
    plan_seeds,
    plan_sizes,
    plan_swept,
    plan_tuning,
    scale_rate,
)
from tellapart.study.settings import StudySettings, SweepSettings, TransferSettings
from tellapart.study.start import name_steps

HOLDOUT, REFERENCE = StudySettings(), StudySettings(protocol="notebook")
SMALL = Shape(1, 8, 10)


def test_few_images_are_shown_more_often_within_bounds() -> None:
    for part, (shown, fewest, most) in find_rules(HOLDOUT).epochs.items():
        counts = [plan_epochs(HOLDOUT, part, images) for images in (1, 1000, 45_000, 10**7)]
        assert counts == sorted(counts, reverse=True)
        assert (counts[0], counts[-1]) == (most, fewest)
        assert plan_epochs(HOLDOUT, part, shown // most) == most
        assert plan_epochs(StudySettings(epochs=7), part, 1000) == 7


def test_the_notebook_is_trained_as_it_was() -> None:
    assert plan_epochs(REFERENCE, "baseline", 45_000) == 200
    for part, epochs in (("conv", 20), ("dense", 20), ("trial", 50), ("search", 50)):
        assert plan_epochs(REFERENCE, part, 45_000) == epochs
    recipe = plan_recipe(REFERENCE, "conv", 45_000, 3, SimpleSettings())
    assert recipe == NOTEBOOK.model_copy(update={"epochs": 20, "seed": 3})
    (head,) = plan_heads(REFERENCE)
    assert (head.kind, head.epochs, head.batch_size) == ("dense", 100, 64)
    assert (head.schedule, head.dropout, head.weight_decay, head.label_smoothing) == (
        *("constant", 0.0, 0.0, 0.0),
    )
    assert plan_seeds(REFERENCE, 45_000) == (1, 1)
    assert plan_minutes(REFERENCE, 45_000) is None
    rules = find_rules(REFERENCE)
    assert rules.float32 and not rules.val and rules.network == DeepSettings()
    steps = ("inspect", "baseline", "conv", "dense", "transfer", "search", "model")
    assert name_steps(REFERENCE) == steps
    assert "learn" in name_steps(HOLDOUT) and "vary" not in name_steps(HOLDOUT)


def test_what_the_user_named_is_taken_in_the_notebook_too() -> None:
    settings = StudySettings(
        protocol="notebook",
        epochs=2,
        recipe=RecipeSettings(batch_size=32, augment="shift"),
        sweep=SweepSettings(seeds="3"),
        transfer=TransferSettings(head=HeadSettings(dropout=0.3)),
    )
    recipe = plan_recipe(settings, "conv", 45_000, 0, SimpleSettings())
    assert (recipe.epochs, recipe.batch_size, recipe.augment) == (2, 32, "shift")
    assert plan_seeds(settings, 45_000) == (3, 3)
    assert plan_heads(settings)[-1].dropout == 0.3


def test_a_network_has_its_own_recipe_unless_told() -> None:
    own = plan_recipe(HOLDOUT, "baseline", 45_000, 0, SpeedSettings())
    assert (own.optimizer, own.batch_size) == (SpeedSettings.recipe.optimizer, 128)
    assert own.epochs == plan_epochs(HOLDOUT, "search", 45_000)  # as a search's winner has
    told = StudySettings(recipe=RecipeSettings(optimizer="sgd"))
    assert plan_recipe(told, "conv", 45_000, 0, SpeedSettings()).lr == 0.05
    assert (
        plan_recipe(HOLDOUT, "conv", 500, 0, SimpleSettings()).batch_size == plan_batch(500) == 32
    )


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 4.0), ("adam", 2.0), ("muon", 2.0)])
def test_a_larger_batch_has_a_higher_rate_and_a_smaller_one_the_same(
    optimizer: str, factor: float
) -> None:
    recipe = NOTEBOOK.model_copy(update={"optimizer": optimizer, "batch_size": 128})
    assert scale_rate(recipe, 512).lr == pytest.approx(factor * recipe.lr)
    assert scale_rate(recipe, 32).lr == recipe.lr


def test_seeds() -> None:
    assert plan_seeds(HOLDOUT, 20_000) == (3, MOST_SEEDS)
    assert plan_seeds(HOLDOUT, 20_001) == (2, MOST_SEEDS)
    assert plan_seeds(StudySettings(sweep=SweepSettings(seeds="4")), 100) == (4, 4)
    assert plan_seeds(StudySettings(sweep=SweepSettings(seeds="4+")), 100) == (4, MOST_SEEDS)
    assert plan_seeds(StudySettings(sweep=SweepSettings(seeds="12+")), 100) == (12, 12)


def test_minutes() -> None:
    assert [plan_minutes(HOLDOUT, images) for images in (9_999, 10_000)] == [15.0, 30.0]
    assert plan_minutes(StudySettings(minutes=4), 50_000) == 4


def test_sizes_that_are_too_large_are_left_out_unless_they_were_named() -> None:
    assert plan_sizes(HOLDOUT, "dense", SMALL) == (SIZES["dense"], ())
    sizes, left_out = plan_sizes(HOLDOUT, "dense", Shape(3, 128, 10))
    assert sizes == (64,) and [one.size for one in left_out] == [128, 256, 512, 1024, 2048]
    assert "million parameters" in left_out[0].reason and MOST_PARAMETERS == 32_000_000
    named = StudySettings(sweep=SweepSettings(sizes={"dense": (2048, 4)}))
    assert plan_sizes(named, "dense", Shape(3, 128, 10)) == ((4, 2048), ())
    assert plan_swept("conv", 8) == SimpleSettings(width=8, dense=128)
    assert plan_swept("dense", 8) == SimpleSettings(width=64, dense=8)


def test_epochs_that_were_named_are_those_of_heads_too_unless_these_have_their_own() -> None:
    assert [head.epochs for head in plan_heads(StudySettings(epochs=3))] == [3, 3]
    assert [head.kind for head in plan_heads(HOLDOUT)] == ["logistic", "dense"]
    own = TransferSettings(head=HeadSettings(epochs=5), tune=TuneSettings(depth="last", epochs=2))
    named = StudySettings(epochs=3, seed=4, transfer=own)
    assert (plan_heads(named)[-1].epochs, plan_tuning(named).epochs) == (5, 2)
    assert plan_heads(named)[-1].seed == plan_tuning(named).seed == 4
    assert plan_tuning(StudySettings(epochs=3)).epochs == 3
