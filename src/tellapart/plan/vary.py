"""Settings that vary: what may, how their values are read, and what a level of them trains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tellapart.config import (
    RecipeSettings,
    Settings,
    TrainSettings,
    make_settings,
)
from tellapart.errors import SettingError, suggest_name
from tellapart.models import NetworkSettings, read_network
from tellapart.plan.paces import Paces, is_worth
from tellapart.plan.rules import StudySettings, plan_epochs, plan_recipe, plan_seeds
from tellapart.records import GridPlan, Level, Scalar

VARIED = tuple(name for name in TrainSettings.model_fields if name != "seed")
"""Settings of a training that may vary; those of a network are its own."""


MOST_SETTINGS = 2


def list_levels(vary: dict[str, tuple[Scalar, ...]]) -> tuple[Level, ...]:
    """Return all combinations, the last setting changing fastest.

    Raises:
        SettingError: no setting or more than two, one value alone, or values that repeat.

    >>> list_levels({"lr": (0.1, 0.2), "dense": (64, 128)})[1]
    {'lr': 0.1, 'dense': 128}
    """
    if not 1 <= len(vary) <= MOST_SETTINGS:
        raise SettingError(
            f"one or two settings can vary at a time, but got {len(vary)} "
            f"({', '.join(vary) or 'none'}); fix the others"
        )
    for name, values in vary.items():
        if len(values) < 2:
            said = ", ".join(map(str, values)) or "none"
            raise SettingError(f"a sweep compares at least two values of {name}, but got {said}")
        if len(set(values)) < len(values):
            raise SettingError(
                f"the values of {name} must differ, but got {', '.join(map(str, values))}; "
                "remove repeats"
            )
    return tuple(dict(zip(vary, values, strict=True)) for values in product(*vary.values()))


def read_vary(texts: Sequence[str], model: NetworkSettings) -> dict[str, tuple[Scalar, ...]]:
    """Read settings and their values, each ``name=value,value``.

    Raises:
        SettingError: a setting that the model does not have, or a value outside its rule.

    >>> read_vary(["dense=64,128", "lr=1e-3,3e-3"], read_network("simple"))
    {'dense': (64, 128), 'lr': (0.001, 0.003)}
    """
    found: dict[str, tuple[Scalar, ...]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if name in found:
            raise SettingError(f"--vary names each setting once, but got {name} twice")
        kind = _find_kind(name, model)
        parts = [part.strip() for part in values.split(",") if part.strip()]
        found[name] = tuple(getattr(make_settings(kind, **{name: part}), name) for part in parts)
    return found


def _find_kind(name: str, model: NetworkSettings) -> type[Settings]:
    """Return the settings that a name belongs to."""
    if name in model.list_sizes():
        return type(model)
    if name not in VARIED:
        known = (*model.list_sizes(), *VARIED)
        raise SettingError(
            f"--vary needs settings of model {model.name} or its training "
            f"({', '.join(known)}), but got {name!r}{suggest_name(name, known)}"
        )
    return TrainSettings


def make_level(
    settings: StudySettings, images: int, level: Level, seed: int, epochs: int
) -> tuple[NetworkSettings, TrainSettings]:
    """Return the network of a level, and how it is trained.

    Args:
        images: training images.
        epochs: where they do not vary themselves.

    Raises:
        SettingError: values that do not go together.
    """
    own = {name: value for name, value in level.items() if name in settings.model.list_sizes()}
    rest = {name: value for name, value in level.items() if name not in own}
    asked = {name: rest[name] for name in rest if name in RecipeSettings.model_fields}
    model = read_network(settings.model.model_dump() | own)
    recipe = make_settings(RecipeSettings, **(settings.recipe.model_dump() | asked))
    base = settings.model_copy(update={"recipe": recipe})
    whole = plan_recipe(base, "conv", images, seed, model).model_dump()
    return model, make_settings(TrainSettings, **(whole | {"epochs": epochs} | rest))


def plan_grid(
    settings: StudySettings,
    levels: Sequence[Level],
    images: int,
    paces: Paces,
    limit: float = float("inf"),
) -> GridPlan:
    """Return what varying settings will train, and the seconds it should take here.

    Where that is more than there are, epochs fall to a third at most, never below 3, unless they
    are what varies; levels are what the user named, and stay.

    Args:
        images: training images.
        paces: are asked for the pace of each network, trained as its level says.
        limit: seconds that it may take.
    """
    part = "conv" if settings.model.name == "simple" else "trial"
    epochs = plan_epochs(settings, part, images)
    seeds, most = plan_seeds(settings, images)
    found = [make_level(settings, images, level, settings.seed, epochs) for level in levels]
    costs = [images * seeds * paces.reckon(model, recipe) for model, recipe in found]
    gains = [paces.gain(model) for model, _ in found]

    def count(epochs: int, gains: Sequence[float]) -> float:
        return sum(
            cost * int(level.get("epochs") or epochs) / gain  # type: ignore[arg-type]  # a number
            for level, cost, gain in zip(levels, costs, gains, strict=True)
        )

    after = count(epochs, gains)
    if not is_worth(settings, whole := count(epochs, [1.0] * len(gains)), whole / after):
        gains = [1.0] * len(gains)
    fewest = (
        max(3, epochs // 3) if settings.epochs is None and "epochs" not in levels[0] else epochs
    )
    shorter = epochs
    while shorter > fewest and count(shorter, gains) > limit:
        shorter -= 1
    seconds = count(shorter, gains)
    return GridPlan(
        levels=len(levels),
        seeds=seeds,
        most_seeds=most,
        extra_seconds=max(0.0, min(limit - seconds, seconds)) if most > seeds else 0.0,
        epochs=None if "epochs" in levels[0] else shorter,
        cut=shorter < epochs,
        apart=tuple(number for number, gain in enumerate(gains) if gain != 1.0),
        seconds=seconds,
    )
