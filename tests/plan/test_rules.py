from __future__ import annotations

from typing import Any

import pytest

from tellapart.config import (
    NOTEBOOK_EPOCHS,
    OPTIMIZERS,
    HeadSettings,
    Protocol,
    RecipeSettings,
    TrainSettings,
)
from tellapart.errors import SettingError
from tellapart.models import Shape, SimpleSettings, count_parameters, make_model
from tellapart.plan.rules import (
    CONV_SIZES,
    DENSE_SIZES,
    MOST_PARAMETERS,
    MOST_SEEDS,
    StudySettings,
    SweepSettings,
    TransferSettings,
    plan_batch,
    plan_epochs,
    plan_head,
    plan_recipe,
    plan_seeds,
    plan_sizes,
    plan_swept,
    plan_trials,
    scale_rate,
)
from tellapart.records import StepName

PARTS = ("baseline", "conv", "dense", "trial", "search")
NOTEBOOK = StudySettings(protocol="notebook")
CIFAR = Shape(3, 32, 10)


@pytest.mark.parametrize("part", PARTS)
def test_more_images_need_no_more_epochs(part: str) -> None:
    planned = [plan_epochs(StudySettings(), part, images) for images in (100, 5000, 45_000, 10**6)]
    assert planned == sorted(planned, reverse=True)
    assert planned[-1] >= 4
    assert planned[0] <= 60


@pytest.mark.parametrize("part", [*PARTS, "transfer"])
@pytest.mark.parametrize("protocol", ["holdout", "notebook"])
def test_named_epochs_are_kept(part: str, protocol: Protocol) -> None:
    assert plan_epochs(StudySettings(epochs=3, protocol=protocol), part, 1000) == 3


def test_the_notebook_has_its_own_epochs_and_recipe() -> None:
    for part, epochs in NOTEBOOK_EPOCHS.items():
        assert plan_epochs(NOTEBOOK, part, 1257) == epochs
    assert plan_epochs(NOTEBOOK, "trial", 1257) == NOTEBOOK_EPOCHS["search"]
    recipe = plan_recipe(NOTEBOOK, "conv", 50_000, seed=4)
    assert (recipe.batch_size, recipe.lr, recipe.schedule) == (64, 1e-3, "constant")
    assert (recipe.epochs, recipe.seed) == (20, 4)
    assert plan_seeds(NOTEBOOK, 50_000) == (1, 1)
    assert plan_trials(NOTEBOOK) == 1


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("protocol", ["holdout", "notebook"])
def test_the_named_augmentation_is_that_of_every_training(part: str, protocol: Protocol) -> None:
    assert plan_recipe(StudySettings(protocol=protocol), part, 1000, 0).augment == "none"
    asked = RecipeSettings(augment="light+flip")
    settings = StudySettings(protocol=protocol, recipe=asked)
    assert plan_recipe(settings, part, 1000, 0).augment == "flip+shift"


def test_a_recipe_follows_from_the_data() -> None:
    small = plan_recipe(StudySettings(), "baseline", 1257, seed=2)
    assert (small.batch_size, small.seed) == (plan_batch(1257), 2)
    assert plan_batch(9_999) < plan_batch(10_000)
    assert plan_seeds(StudySettings(), 20_000) == (3, MOST_SEEDS)
    assert plan_seeds(StudySettings(), 20_001) == (2, MOST_SEEDS)


@pytest.mark.parametrize("protocol", ["holdout", "notebook"])
def test_named_seeds_and_trials_are_kept(protocol: Protocol) -> None:
    settings = StudySettings(protocol=protocol, sweep=SweepSettings(seeds=5), trials=11)
    assert plan_seeds(settings, 10**6) == (5, 5)
    auto = StudySettings(protocol=protocol, sweep=SweepSettings(seeds="auto"))
    assert plan_seeds(auto, 10**6) == (2, MOST_SEEDS)
    assert plan_trials(settings) == 11


@pytest.mark.parametrize("step", ["conv", "dense"])
def test_sizes_are_left_out_by_their_built_parameters(step: StepName) -> None:
    shape = Shape(3, 64, 10)
    fit, left_out = plan_sizes(StudySettings(), step, shape)
    assert (
        fit + tuple(size.size for size in left_out)
        == {"conv": CONV_SIZES, "dense": DENSE_SIZES}[step]
    )
    assert all("million parameters" in size.reason for size in left_out)
    assert left_out
    largest = make_model(plan_swept(step, fit[-1]), shape)
    assert count_parameters(largest) <= MOST_PARAMETERS


def test_sizes_of_the_reference_study_all_fit_cifar() -> None:
    assert plan_sizes(StudySettings(), "conv", CIFAR) == (
        (16, 32, 64, 128, 256, 512, 1024),
        (),
    )
    assert plan_sizes(StudySettings(), "dense", CIFAR) == ((64, 128, 256, 512, 1024, 2048), ())


def test_named_sizes_are_all_kept() -> None:
    settings = StudySettings(sweep=SweepSettings(sizes={"conv": (5, 100_000), "dense": (7, 10**6)}))
    assert plan_sizes(settings, "conv", CIFAR) == ((5, 100_000), ())
    assert plan_sizes(settings, "dense", CIFAR) == ((7, 10**6), ())


def test_a_sweep_varies_one_thing() -> None:
    conv, dense = plan_swept("conv", 99), plan_swept("dense", 99)
    assert (conv.model_dump()["width"], conv.model_dump()["dense"]) == (99, 128)
    assert (dense.model_dump()["width"], dense.model_dump()["dense"]) == (64, 99)


def test_the_head_is_as_named() -> None:
    named = HeadSettings(dense=64, dropout=0.1, epochs=7)
    planned = plan_head(StudySettings(transfer=TransferSettings(head=named), seed=3))
    assert planned == named.model_copy(update={"seed": 3})
    assert plan_head(StudySettings(transfer=TransferSettings(head=named), epochs=2)).epochs == 2
    assert plan_head(StudySettings()) == HeadSettings()


def test_the_notebooks_head_is_plain() -> None:
    head = plan_head(NOTEBOOK)
    assert (head.dense, head.dropout, head.weight_decay) == (2048, 0, 0)
    assert (head.label_smoothing, head.batch_size, head.epochs) == (0, 64, 100)


def test_unknown_steps_are_refused() -> None:
    with pytest.raises(SettingError, match="inspect"):
        StudySettings(steps=("inspekt",))  # type: ignore[arg-type]  # the wrong name is the test


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 4.0), ("adam", 2.0), ("muon", 2.0)])
def test_the_rate_follows_the_batch_size_by_the_rule(optimizer: Any, factor: float) -> None:
    recipe = TrainSettings(optimizer=optimizer, lr=0.01, batch_size=64)
    scaled = scale_rate(recipe, 256)
    assert scaled.lr == pytest.approx(factor * recipe.lr)
    assert scaled == recipe.model_copy(update={"batch_size": 256, "lr": scaled.lr})
    assert scale_rate(recipe, 16) == recipe.model_copy(update={"batch_size": 16})
    assert scale_rate(recipe, 64) == recipe


@pytest.mark.parametrize("images", [1000, 40_000])
def test_what_the_user_asked_of_the_recipe_holds(images: int) -> None:
    asked = RecipeSettings(batch_size=512, patience=4, averaging=0.2, class_weights="balanced")
    recipe = plan_recipe(StudySettings(recipe=asked), "baseline", images, seed=0)
    assert (recipe.batch_size, recipe.patience, recipe.averaging) == (512, 4, 0.2)
    assert recipe.class_weights == "balanced"
    assert recipe.lr == pytest.approx(2 * SimpleSettings.recipe.lr)  # by the rule, from 128
    told = plan_recipe(
        StudySettings(recipe=RecipeSettings(batch_size=512, lr=0.01)), "baseline", images, seed=0
    )
    assert told.lr == 0.01


def test_in_the_notebook_protocol_another_optimizer_brings_its_own_rate_too() -> None:
    asked = RecipeSettings(optimizer="muon")
    settings = StudySettings(protocol="notebook", recipe=asked)
    recipe = plan_recipe(settings, "baseline", 50_000, seed=0)
    own = OPTIMIZERS["muon"]
    assert (recipe.optimizer, recipe.lr, recipe.schedule) == ("muon", own.lr, own.schedule)
    assert recipe.batch_size == 64


def test_another_optimizer_brings_its_own_rate_and_schedule() -> None:
    settings = StudySettings(recipe=RecipeSettings(optimizer="sgd"))
    recipe = plan_recipe(settings, "baseline", 40_000, seed=0)
    own = OPTIMIZERS["sgd"]
    assert (recipe.optimizer, recipe.lr, recipe.schedule) == ("sgd", own.lr, own.schedule)
    same = StudySettings(recipe=RecipeSettings(optimizer=SimpleSettings.recipe.optimizer))
    plain = plan_recipe(StudySettings(), "baseline", 40_000, seed=0)
    assert plan_recipe(same, "baseline", 40_000, seed=0) == plain
