"""What a search may try: networks of stages, speednets, and how each is trained.

Optuna keeps one list of choices a name, so settings that differ by network, or by optimiser, carry
its name as a prefix in the journal; everywhere else they have the names of ``ModelSettings`` and
``TrainSettings``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tellapart.config import (
    DEEP,
    OPTIMIZERS,
    RECIPES,
    WIDTHS,
    ModelName,
    ModelSettings,
    RecipeSettings,
    TrainSettings,
    choose_recipe,
)
from tellapart.records import Scalar

if TYPE_CHECKING:
    import optuna

AUGMENTS = ("none", "shift", "flip+shift", "shift+cutout", "flip+shift+cutout")
"""Flips are tried, since whether they are valid shows on val."""

NOTEBOOK_TRIAL: dict[str, Scalar] = {
    "model": "stages",
    "stages": 3,
    "convs": 1,
    "width": 32,
    "norm": False,
    "dense": 2048,
    "dropout": 0.0,
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "label_smoothing": 0.0,
    "augment": "none",
}
"""The reference study's network: every search's first trial."""

SPEED_TRIAL: dict[str, Scalar] = {
    "model": "speed",
    "width": 24,
    "convs": 2,
    "lr": RECIPES["speed"].lr,
    "label_smoothing": 0.2,
    "augment": "shift",
}
"""The network made to be fast: every search's second trial."""

FLIP_TRIAL: dict[str, Scalar] = SPEED_TRIAL | {"width": WIDTHS[-1], "augment": "flip+shift"}
"""As wide as the minutes allow, with mirrored images: right for photographs, wrong for digits."""

DEEP_TRIAL: dict[str, Scalar] = {
    name: value for name, value in NOTEBOOK_TRIAL.items() if name != "weight_decay"
} | {"optimizer": "muon", "lr": OPTIMIZERS["muon"].lr, "augment": "shift"}
"""The reference study's network with today's training."""

GIVEN = (NOTEBOOK_TRIAL, SPEED_TRIAL, FLIP_TRIAL, DEEP_TRIAL)


@dataclass(frozen=True)
class Space:
    """What a search may try: at most ``stages`` stages and ``width`` filters in the first."""

    stages: int
    width: int
    epochs: int
    batch_size: int
    seed: int


def fit_space(image_size: int, width: int, recipe: TrainSettings) -> Space:
    """Return the space for square images: stages halve the side, down to 2 px.

    Args:
        width: the most filters in the first stage.
        recipe: gives a trial's epochs, batch size and seed.
    """
    stages = max(1, min(4, (image_size // 2).bit_length()))
    return Space(stages, width, recipe.epochs, recipe.batch_size, recipe.seed)


def suggest_settings(trial: optuna.Trial, space: Space) -> dict[str, Scalar]:
    """Let Optuna choose a network and its training."""
    models = ["speed", "stages"] if space.stages > 1 else ["stages"]  # speed needs 4 px
    model = trial.suggest_categorical("model", models)
    if model == "speed":
        trial.suggest_categorical("speed width", list_widths("speed", space))
        trial.suggest_int("speed convs", 2, 3)
        trial.suggest_float("speed lr", 0.015, 0.15, log=True)
        trial.suggest_categorical("speed label_smoothing", [0.0, 0.1, 0.2])
        trial.suggest_categorical("speed augment", list(AUGMENTS))
        return name_settings(trial.params)
    trial.suggest_int("stages stages", min(2, space.stages), space.stages)
    trial.suggest_int("stages convs", 1, 2)
    trial.suggest_categorical("stages width", list_widths("stages", space))
    trial.suggest_categorical("stages norm", [False, True])
    trial.suggest_categorical("stages dense", [0, 64, 256, 1024, 2048])
    trial.suggest_float("stages dropout", 0.0, 0.5, step=0.1)
    if trial.suggest_categorical("stages optimizer", ["adam", "muon"]) == "adam":
        trial.suggest_float("stages adam lr", 3e-4, 1e-2, log=True)
        trial.suggest_float("stages adam weight_decay", 1e-5, 1e-1, log=True)
    else:
        trial.suggest_float("stages muon lr", 0.015, 0.15, log=True)
    trial.suggest_categorical("stages label_smoothing", [0.0, 0.1])
    trial.suggest_categorical("stages augment", list(AUGMENTS))
    return name_settings(trial.params)


def fit_given(given: dict[str, Scalar], space: Space) -> dict[str, Scalar]:
    """Return a given trial as the journal names it, within what the space allows."""
    model = given["model"] if space.stages > 1 else "stages"
    fitted = given if model == given["model"] else NOTEBOOK_TRIAL
    fitted = fitted | {"width": min(cast(int, fitted["width"]), list_widths(str(model), space)[-1])}
    if "stages" in fitted:
        fitted["stages"] = min(cast(int, fitted["stages"]), space.stages)
    own = ("lr", "weight_decay") if "optimizer" in fitted else ()
    prefixes = {name: f"{model} {fitted['optimizer']}" for name in own}
    return {
        name if name == "model" else f"{prefixes.get(name, model)} {name}": value
        for name, value in fitted.items()
    }


def name_settings(params: dict[str, Any]) -> dict[str, Scalar]:
    """Return settings by their own names.

    >>> name_settings({"model": "speed", "speed width": 24})
    {'model': 'speed', 'width': 24}
    """
    return {name.rpartition(" ")[2]: value for name, value in params.items()}


def split_settings(
    settings: dict[str, Scalar], space: Space
) -> tuple[ModelSettings, TrainSettings]:
    """Return a trial's settings as those of the network and those of its training.

    >>> space = Space(stages=3, width=64, epochs=5, batch_size=128, seed=0)
    >>> model, recipe = split_settings(dict(SPEED_TRIAL), space)
    >>> model.name, model.width, recipe.optimizer, recipe.epochs
    ('speed', 24, 'muon', 5)
    """
    name = cast(ModelName, settings["model"])
    own: dict[str, Any] = {}
    rest: dict[str, Any] = {
        "epochs": space.epochs,
        "batch_size": space.batch_size,
        "seed": space.seed,
    }
    for key, value in settings.items():
        if key != "model":
            (own if key in ModelSettings.model_fields else rest)[key] = value
    recipe = choose_recipe(name, RecipeSettings(optimizer=rest.get("optimizer")))
    return ModelSettings(name=name, **own), recipe.model_copy(update=rest)


def list_widths(model: str, space: Space) -> list[int]:
    """Return the widths to try; the reference study's own is always among those of stages."""
    widest = max(space.width, DEEP.width) if model == "stages" else space.width
    return [width for width in WIDTHS if width <= widest]
