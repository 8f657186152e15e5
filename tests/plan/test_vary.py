"""Settings that vary: which may, how values are read, what is refused."""

from __future__ import annotations

import pytest

from tellapart.config import TrainSettings
from tellapart.errors import SettingError
from tellapart.models import NetworkSettings, Shape, SimpleSettings, make_network_settings
from tellapart.plan import StudySettings, SweepSettings, plan_study
from tellapart.plan.paces import Paces
from tellapart.plan.vary import list_levels, make_level, plan_grid, read_vary
from tellapart.records import Scalar
from tellapart.study.plans import say_plan

SIMPLE, SPEED = SimpleSettings(), make_network_settings("speed")
IMAGES = 1259


def test_values_have_the_types_of_their_settings() -> None:
    found = read_vary(["dense=64, 128", "label-smoothing=0,0.1"], SIMPLE)
    assert found == {"dense": (64, 128), "label_smoothing": (0.0, 0.1)}
    assert read_vary(["augment=flip,light,none"], SIMPLE) == {"augment": ("flip", "shift", "none")}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["dense=64,128", "dense=1,2"], "dense twice"),
        (
            ["convs=1,2"],
            "of model simple or its training .width, dense, .* but got 'convs'",
        ),
        (["droput=0.1,0.2"], "droput"),
        (["learning_rate=0.1,0.2"], "learning_rate"),
        (["val_acc=0.1,0.2"], "val_acc"),
        (["dense=64,many"], "dense: .*but got 'many'"),
        (["lr=0,0.1"], "lr: .*greater than 0"),
        (["seed=1,2"], "seed"),
    ],
)
def test_what_cannot_vary_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read_vary(texts, SIMPLE)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "one or two settings"),
        (["dense=1,2", "width=1,2", "lr=0.1,0.2"], "got 3"),
        (["dense=64"], "at least two values of dense, but got 64"),
        (["dense="], "at least two values of dense, but got none"),
        (["augment=light,shift"], "must differ, but got shift, shift"),
    ],
)
def test_what_is_no_comparison_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        list_levels(read_vary(texts, SIMPLE))


def test_a_level_changes_what_it_names_and_nothing_else() -> None:
    settings = StudySettings(model=SPEED)
    plain, recipe = make_level(settings, IMAGES, {"width": 16}, 3, 5)
    assert plain == SPEED.model_copy(update={"width": 16})
    assert (recipe.epochs, recipe.seed, recipe.optimizer) == (5, 3, "muon")
    _, other = make_level(settings, IMAGES, {"optimizer": "adam"}, 3, 5)
    assert (other.optimizer, other.lr) == ("adam", 1e-3)  # that optimiser's own rate
    _, longer = make_level(settings, IMAGES, {"epochs": 9}, 3, 5)
    assert longer.epochs == 9


def test_values_that_do_not_go_together_are_refused() -> None:
    settings = StudySettings(model=SPEED)
    with pytest.raises(SettingError, match=r"^optimizer muon has no weight_decay; leave it at 0$"):
        make_level(settings, IMAGES, {"weight_decay": 0.1}, 0, 5)


def measure(model: NetworkSettings) -> float:
    return int(model.model_dump()["dense"]) / 1e5


def gain_small(model: NetworkSettings) -> float:
    return 1.6 if model.model_dump()["dense"] == 64 else 1.0


def test_a_grid_is_cut_to_its_minutes_in_epochs_alone() -> None:
    vary: dict[str, tuple[Scalar, ...]] = {"dense": (64, 128), "lr": (1e-3, 3e-3)}
    levels = list_levels(vary)
    asked = StudySettings(steps=(), sweep=SweepSettings(vary=vary, seeds=2))
    whole = plan_grid(asked, levels, IMAGES, Paces(measure))
    assert (whole.levels, whole.seeds, whole.cut, whole.apart) == (4, 2, False, ())
    assert whole.epochs
    assert whole.seconds == pytest.approx(2 * IMAGES * whole.epochs * 2 * (64 + 128) / 1e5)
    cut = plan_grid(asked, levels, IMAGES, Paces(measure), limit=whole.seconds / 2)
    assert cut.cut and cut.levels == 4
    assert whole.epochs and cut.epochs
    assert whole.epochs // 3 <= cut.epochs <= whole.epochs / 2
    several = plan_grid(asked, levels, IMAGES, Paces(measure, gain_small, 2))
    assert several.apart == (0, 1)
    assert several.seconds < whole.seconds
    quick = Paces(lambda model: measure(model) / 1e4, gain_small, 2)
    assert plan_grid(asked, levels, IMAGES, quick).apart == ()  # to start them takes longer


def test_epochs_that_vary_are_not_cut_and_each_counts_its_own() -> None:
    vary: dict[str, tuple[Scalar, ...]] = {"epochs": (2, 20)}
    asked = StudySettings(steps=(), sweep=SweepSettings(vary=vary, seeds=1))
    plan = plan_grid(asked, list_levels(vary), IMAGES, Paces(measure), limit=1.0)
    assert (plan.epochs, plan.cut) == (None, False)
    assert plan.seconds == pytest.approx(IMAGES * 22 * 128 / 1e5)
    assert plan.extra_seconds == 0.0


def test_a_level_has_the_pace_of_its_own_training() -> None:
    vary: dict[str, tuple[Scalar, ...]] = {"batch_size": (32, 128)}
    asked = StudySettings(steps=(), epochs=1, sweep=SweepSettings(vary=vary, seeds=1))

    def measure_recipe(model: NetworkSettings, recipe: TrainSettings) -> float:
        return 1 / recipe.batch_size

    paces = Paces(measure, measure_recipe=measure_recipe)
    plan = plan_grid(asked, list_levels(vary), IMAGES, paces)
    assert plan.seconds == pytest.approx(IMAGES * (1 / 32 + 1 / 128))


def test_a_grid_that_names_no_minutes_has_those_of_a_study() -> None:
    vary: dict[str, tuple[Scalar, ...]] = {"dense": (64, 128)}
    asked = StudySettings(steps=(), sweep=SweepSettings(vary=vary))
    plan = plan_study(asked, Shape(3, 32, 10), IMAGES, Paces(lambda model: 1.0))
    assert plan.grid is not None and plan.grid.cut
    assert plan.expected == {"grid": plan.grid.seconds}
    assert "2 levels" in say_plan(plan) and "no sweep" not in say_plan(plan)
