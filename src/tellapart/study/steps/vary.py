"""One or two settings varied: any of a network's or of its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from statistics import fmean

from tellapart.config import RecipeSettings, TrainSettings, make_settings
from tellapart.errors import SettingError, suggest_name
from tellapart.models import NetworkSettings, SimpleSettings
from tellapart.records import Level, LevelRecord, Ranking, RunRecord, Scalar, SweepPlan, VaryStep
from tellapart.report.wording import say_level
from tellapart.search.sweep import run_sweep
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, Trainings
from tellapart.study.rules import plan_epochs, plan_recipe, plan_seeds
from tellapart.study.settings import StudySettings, SweepSettings
from tellapart.study.steps.step import Step
from tellapart.study.steps.sweep import plan_trainings, prepare_trainings

VARIED = tuple(name for name in TrainSettings.model_fields if name != "seed")
"""Settings of a training that may vary, besides those of the network."""
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
        said = ", ".join(map(str, values)) or "none"
        if len(values) < 2:
            raise SettingError(f"a sweep compares at least two values of {name}, but got {said}")
        if len(set(values)) < len(values):
            raise SettingError(f"the values of {name} must differ, but got {said}; remove repeats")
    return tuple(dict(zip(vary, values, strict=True)) for values in product(*vary.values()))


def read_vary(texts: Sequence[str], model: NetworkSettings) -> dict[str, tuple[Scalar, ...]]:
    """Read settings and their values, each ``name=value,value``.

    Raises:
        SettingError: a setting that the model does not have, or a value outside its rule.

    >>> read_vary(["dense=64,128", "lr=1e-3,3e-3"], SimpleSettings())
    {'dense': (64, 128), 'lr': (0.001, 0.003)}
    """
    found: dict[str, tuple[Scalar, ...]] = {}
    known = (*model.list_sizes(), *VARIED)
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if name in found:
            raise SettingError(f"--vary names each setting once, but got {name} twice")
        if name not in known:
            raise SettingError(
                f"--vary needs settings of model {model.name} or its training "
                f"({', '.join(known)}), but got {name!r}{suggest_name(name, known)}"
            )
        kind = type(model) if name in model.list_sizes() else TrainSettings
        parts = [part.strip() for part in values.split(",") if part.strip()]
        try:
            read = [getattr(make_settings(kind, **{name: part}), name) for part in parts]
        except SettingError as error:
            error.flag = f"--vary {name}"
            raise
        found[name] = tuple(read)
    return found


def choose_varied(
    vary: Sequence[str], sizes: str, model: NetworkSettings
) -> tuple[str, dict[str, object]]:
    """Return the step that a sweep is, and what its settings then are.

    Raises:
        SettingError: what was named cannot vary, or sizes of something that has none.
    """
    steps = {"width": "conv", "dense": "dense"}
    name, _, values = vary[0].partition("=")
    if len(vary) == 1 and name in steps and isinstance(model, SimpleSettings):
        if values and sizes:
            raise SettingError(f"--sizes and --vary {vary[0]} both name sizes; leave one out")
        if not values and not sizes:
            return steps[name], {}
        try:
            named = make_settings(SweepSettings, sizes={steps[name]: values or sizes})
        except SettingError as error:
            error.flag = f"--vary {name}" if values else "--sizes"
            raise
        return steps[name], {"sizes": named.sizes}
    if sizes:
        raise SettingError(
            f"--sizes are those of --vary width or dense alone, but got --vary {' '.join(vary)}; "
            "write --vary SETTING=VALUE,VALUE"
        )
    for text in vary:
        if "=" not in text:
            raise SettingError(f"--vary {text} needs values here; write --vary {text}=VALUE,VALUE")
    found = read_vary(vary, model)
    list_levels(found)
    return "vary", {"vary": found}


def make_level(
    settings: StudySettings, images: int, level: Level, seed: int, epochs: int
) -> tuple[NetworkSettings, TrainSettings]:
    """Return the network of a level, and how it is trained on so many images.

    ``epochs`` are taken where they do not vary themselves.

    Raises:
        SettingError: values that do not go together.
    """
    kind = type(settings.model)
    own = {name: value for name, value in level.items() if name in kind.model_fields}
    rest = {name: value for name, value in level.items() if name not in own}
    asked = {name: rest[name] for name in rest if name in RecipeSettings.model_fields}
    model = kind(**(settings.model.model_dump() | own))
    recipe = RecipeSettings(**(settings.recipe.model_dump() | asked))
    base = settings.model_copy(update={"recipe": recipe})
    whole = plan_recipe(base, "conv", images, seed, model).model_dump()
    return model, TrainSettings(**(whole | {"epochs": epochs} | rest))


def plan_vary(context: Context, seconds: float) -> SweepPlan:
    """Return the epochs and seeds of the levels that fit; levels are what the user named."""
    settings, vary = context.settings, context.settings.sweep.vary
    levels = list_levels(vary)
    part = "conv" if isinstance(settings.model, SimpleSettings) else "trial"
    epochs = plan_epochs(settings, part, context.images)
    seeds, _ = plan_seeds(settings, context.images)
    made = [make_level(settings, context.images, level, settings.seed, epochs) for level in levels]
    costs = {
        # relative to the common number of epochs, where these vary
        number: context.measure_epoch(model, recipe) * recipe.epochs / epochs
        if seconds < float("inf")
        else 0.0
        for number, (model, recipe) in enumerate(made)
    }
    models = {number: model for number, (model, _) in enumerate(made)}
    whole = Trainings(tuple(models), seeds, epochs)
    named = ("sizes", "epochs") if "epochs" in vary else ("sizes",)
    plan = plan_trainings(context, models, costs, whole, named, seconds)
    return plan.model_copy(update={"text": f"{len(levels)} levels; {plan.text}"})


def run_vary(context: Context, plan: SweepPlan, deadline: Deadline) -> VaryStep:
    """Train every level of the settings that vary, with several seeds, and name the best."""
    settings, vary = context.settings, context.settings.sweep.vary
    levels = list_levels(vary)

    def make(number: int, seed: int) -> tuple[str, NetworkSettings, TrainSettings]:
        said = "-".join(f"{name}-{value}" for name, value in levels[number].items())
        label = "".join(mark if mark.isalnum() or mark in "-._" else "-" for mark in said)
        return label, *make_level(settings, context.images, levels[number], seed, plan.epochs)

    seeds, train = prepare_trainings(context, "vary", plan, deadline, make)

    def judge(groups: Sequence[Sequence[RunRecord]]) -> Ranking:
        """Rank levels; those whose costs differ by less than a quarter are equally cheap."""
        seconds = [fmean(run.seconds * run.threads for run in runs) for runs in groups]
        costs = [round(math.log(one) / math.log(1.25)) for one in seconds]
        return context.rank("vary", groups, costs)

    found = run_sweep(range(len(levels)), seeds, train, judge)
    varies_size = set(vary) & set(type(settings.model).model_fields)
    return VaryStep(
        metric=context.metric,
        model=settings.model.name if varies_size else settings.model.label,
        settings=vary,
        levels=tuple(LevelRecord(values=levels[one.size], figures=one) for one in found.sizes),
        left_out=tuple(f"{say_level(levels[one.size])}: {one.reason}" for one in found.left_out),
        ranking=found.ranking,
        epochs=None if "epochs" in vary else plan.epochs,
    )


def check_vary(context: Context) -> None:
    """Refuse levels that cannot be trained."""
    settings = context.settings
    if not context.rules.val:
        raise SettingError(
            f"settings vary on val, which --protocol {settings.protocol} does not have; "
            "leave it out"
        )
    for level in list_levels(settings.sweep.vary):
        make_level(settings, context.images, level, settings.seed, 1)


STEP = Step(
    run=run_vary, plan=plan_vary, plan_kind=SweepPlan, weight=30, usual=False, check=check_vary
)
