"""What a search tries: the networks that are searched, and how each is trained.

Optuna names settings as `NetworkSettings.suggest` does, the network's name first; everywhere else
they have the names of the networks' settings and of ``TrainSettings``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tellapart.config import OPTIMIZERS, RecipeSettings, TrainSettings, choose_recipe
from tellapart.models import NETWORKS, NetworkSettings, Space, SpeedSettings
from tellapart.records import Scalar

if TYPE_CHECKING:
    import optuna

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
"""The reference study's network."""

SPEED_TRIAL: dict[str, Scalar] = {
    "model": "speed",
    "width": 24,
    "convs": 2,
    "lr": SpeedSettings.recipe.lr,
    "label_smoothing": 0.2,
    "augment": "shift",
}
"""The network made to be fast: every search's first trial, for there may be no time for another."""

FLIP_TRIAL: dict[str, Scalar] = SPEED_TRIAL | {"width": 64, "augment": "flip+shift"}
"""As wide as the minutes allow, with mirrored images: right for photographs, wrong for digits."""

DEEP_TRIAL: dict[str, Scalar] = {
    name: value for name, value in NOTEBOOK_TRIAL.items() if name != "weight_decay"
} | {"optimizer": "muon", "lr": OPTIMIZERS["muon"].lr, "augment": "shift"}
"""The reference study's network with today's training."""

GIVEN = (SPEED_TRIAL, FLIP_TRIAL, NOTEBOOK_TRIAL, DEEP_TRIAL)
"""The first trials of every search."""


def fit_space(image_size: int, width: int, recipe: TrainSettings) -> Space:
    """Return the space for square images: stages halve the side, down to 2 px.

    ``width`` is the most filters in the first stage; ``recipe`` gives epochs, batch size and seed.
    """
    stages = max(1, min(4, (image_size // 2).bit_length()))
    return Space(stages, width, recipe.epochs, recipe.batch_size, recipe.seed)


def suggest_training(
    trial: optuna.Trial | optuna.trial.FixedTrial, space: Space
) -> tuple[NetworkSettings, TrainSettings]:
    """Let Optuna choose a network and its training."""
    model = trial.suggest_categorical("model", list_searched(space))
    network, training = NETWORKS[model].suggest(cast("optuna.Trial", trial), space)
    return network, _make_recipe(network, dict(training), space)


def list_searched(space: Space) -> list[str]:
    """Return the names of the networks that a search tries on images as small as these."""
    return sorted(
        name
        for name, kind in NETWORKS.items()
        if kind.searched and kind.smallest <= 2**space.stages
    )


def fit_given(given: dict[str, Scalar], space: Space) -> dict[str, Scalar]:
    """Return a given trial as Optuna names it, within what the space allows."""
    fitted = given if given["model"] in list_searched(space) else NOTEBOOK_TRIAL
    model = fitted["model"]
    widest = space.list_widths(least=32 if model == "stages" else 0)[-1]
    fitted = fitted | {"width": min(cast(int, fitted["width"]), widest)}
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
) -> tuple[NetworkSettings, TrainSettings]:
    """Return a trial's settings as those of the network and those of its training.

    >>> space = Space(stages=3, width=64, epochs=5, batch_size=128, seed=0)
    >>> model, recipe = split_settings(dict(SPEED_TRIAL), space)
    >>> model.label, recipe.optimizer, recipe.epochs
    ('speed 24, 2 a group', 'muon', 5)
    """
    kind = NETWORKS[str(settings["model"])]
    own: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for name, value in settings.items():
        if name != "model":
            (own if name in kind.list_sizes() else training)[name] = value
    model = kind(**own)
    return model, _make_recipe(model, training, space)


def _make_recipe(model: NetworkSettings, training: dict[str, Any], space: Space) -> TrainSettings:
    asked = RecipeSettings(optimizer=training.get("optimizer"))
    fixed = {"epochs": space.epochs, "batch_size": space.batch_size, "seed": space.seed}
    return choose_recipe(model.recipe, asked).model_copy(update=fixed | training)
