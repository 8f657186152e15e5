"""What a study does where the user does not say: presets that depend on the data alone.

The notebook's protocol is one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tellapart.config import (
    NOTEBOOK,
    HeadSettings,
    Protocol,
    TrainSettings,
    TuneSettings,
    choose_recipe,
)
from tellapart.models import (
    DeepSettings,
    Network,
    NetworkSettings,
    Shape,
    SimpleSettings,
    count_planned,
)
from tellapart.records import LeftOut
from tellapart.study.settings import StudySettings

SIZES = {"conv": (16, 32, 64, 128, 256, 512, 1024), "dense": (64, 128, 256, 512, 1024, 2048)}
MOST_PARAMETERS = 32_000_000
"""Default sizes whose network would be larger are left out, and the report says so."""
MOST_SEEDS = 10
"""Of a size on which the choice hangs."""
FEW_IMAGES = 10_000
LONGEST = 200
"""Epochs of one training that is given minutes and nothing else, at most."""


@dataclass(frozen=True)
class Rules:
    """A preset.

    ``epochs`` has, for each part of a study, the images shown in a whole training, from which the
    epochs follow, and their bounds. ``recipe`` None: each network's own. ``minutes``: unless told,
    and for few images. ``network``: the one that is taken instead of a search.
    """

    epochs: dict[str, tuple[int, int, int]]
    recipe: TrainSettings | None = None
    minutes: tuple[float, float] | None = (30.0, 15.0)
    seeds: tuple[int, int] | None = None
    trials: int = 8
    network: NetworkSettings | None = None
    head: dict[str, object] = field(default_factory=dict)
    heads: tuple[str, ...] | None = None
    float32: bool = False
    val: bool = True


RULES: dict[Protocol, Rules] = {
    "holdout": Rules(
        epochs={
            "baseline": (450_000, 10, 40),
            "conv": (180_000, 4, 20),
            "dense": (180_000, 4, 20),
            "trial": (225_000, 5, 20),
            "search": (1_350_000, 15, 60),
        }
    ),
    "notebook": Rules(
        epochs={
            "baseline": (0, 200, 200),
            "conv": (0, 20, 20),
            "dense": (0, 20, 20),
            "trial": (0, 50, 50),
            "search": (0, 50, 50),
        },
        recipe=NOTEBOOK,
        minutes=None,
        seeds=(1, 1),
        trials=1,
        network=DeepSettings(),
        head={
            "schedule": "constant",
            "dropout": 0.0,
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "batch_size": 64,
            "epochs": 100,
        },
        heads=("dense",),
        float32=True,
        val=False,
    ),
}


def find_rules(settings: StudySettings) -> Rules:
    """Return the preset of a study's protocol."""
    return RULES[settings.protocol]


def plan_epochs(settings: StudySettings, part: str, images: int) -> int:
    """Return the epochs of one training on so many images.

    ``part`` is ``baseline``, ``conv``, ``dense``, ``trial`` (of the search) or ``search`` (its
    winner).

    >>> plan_epochs(StudySettings(), "baseline", 45_000)
    10
    """
    if settings.epochs is not None:
        return settings.epochs
    shown, fewest, most = find_rules(settings).epochs[part]
    return max(fewest, min(most, shown // max(1, images)))


def plan_recipe(
    settings: StudySettings, part: str, images: int, seed: int, model: NetworkSettings
) -> TrainSettings:
    """Return the recipe of one training from scratch; a search sets its trials' augmentation.

    A baseline of a deeper network than ``simple`` has the epochs of a search's winner.
    """
    longer = part == "baseline" and not isinstance(model, SimpleSettings)
    asked = settings.recipe.model_dump(exclude_none=True)
    preset = find_rules(settings).recipe
    recipe = choose_recipe(preset or model.recipe, settings.recipe)
    if preset is None:
        recipe = scale_rate(recipe, asked.get("batch_size", plan_batch(images)))
    epochs = plan_epochs(settings, "search" if longer else part, images)
    return TrainSettings(**(recipe.model_dump() | {"epochs": epochs, "seed": seed} | asked))


def plan_batch(images: int) -> int:
    """Return the batch size: 128, or 32 for fewer than ``FEW_IMAGES``."""
    return 128 if images >= FEW_IMAGES else 32


def scale_rate(recipe: TrainSettings, batch_size: int) -> TrainSettings:
    """Return a recipe at another batch size, its learning rate changed by the rule.

    Above the recipe's own batch size the rate grows: with ``sgd`` as the batch size does (Goyal et
    al. 2017, arXiv 1706.02677); with ``adam`` and ``muon``, whose steps have a length that does not
    depend on the gradient's, as its square root does (Malladi et al. 2022, arXiv 2205.10287).
    Below, it stays: in the few epochs that a study has, a lower one learned less
    (``benchmarks/rates.py``).

    >>> scale_rate(TrainSettings(batch_size=128, lr=1e-3), 512).lr
    0.002
    """
    power = 1.0 if recipe.optimizer == "sgd" else 0.5
    lr = recipe.lr * max(1.0, batch_size / recipe.batch_size) ** power
    return recipe.model_copy(update={"batch_size": batch_size, "lr": lr})


def plan_heads(settings: StudySettings) -> tuple[HeadSettings, ...]:
    """Return the heads to try, the last one dense where there is one."""
    rules, asked = find_rules(settings), settings.transfer
    kinds = rules.heads or (("logistic", "dense") if asked.heads == "both" else (asked.heads,))
    named = asked.head.model_dump(exclude_unset=True)
    own: dict[str, object] = {**rules.head, **named, "seed": settings.seed}
    if settings.epochs is not None and "epochs" not in named:
        own["epochs"] = settings.epochs
    return tuple(HeadSettings(**{**own, "kind": kind}) for kind in kinds)  # type: ignore[arg-type]  # checked


def plan_tuning(settings: StudySettings) -> TuneSettings:
    """Return how the best backbone is fine-tuned."""
    tune = settings.transfer.tune
    own: dict[str, object] = {"seed": settings.seed}
    if settings.epochs is not None and "epochs" not in tune.model_fields_set:
        own["epochs"] = settings.epochs
    return tune.model_copy(update=own)


def plan_seeds(settings: StudySettings, images: int) -> tuple[int, int]:
    """Return the seeds that every size has, and the most that one may have.

    A number that the user named is both. Else 3, or 2 above 20,000 images, unless the user named
    with how many to begin, and ``MOST_SEEDS`` where they decide.
    """
    asked, preset = settings.sweep.seeds, find_rules(settings).seeds
    if asked.isdecimal():
        return int(asked), int(asked)
    if asked == "auto" and preset is not None:
        return preset
    first = 3 if images <= 20_000 else 2
    if asked != "auto":
        first = int(asked.rstrip("+"))
    return first, max(first, MOST_SEEDS)


def plan_minutes(settings: StudySettings, images: int) -> float | None:
    """Return the minutes after which the command ends; None: when all is done."""
    preset = find_rules(settings).minutes
    if settings.minutes is not None or preset is None:
        return settings.minutes
    return preset[images < FEW_IMAGES]


def plan_swept(step: str, size: int) -> Network:
    """Return the network of one size: dense 128 while width varies, width 64 while dense does."""
    if step == "conv":
        return SimpleSettings(width=size, dense=128)
    return SimpleSettings(width=64, dense=size)


def plan_sizes(
    settings: StudySettings, step: str, shape: Shape
) -> tuple[tuple[int, ...], tuple[LeftOut, ...]]:
    """Return the sizes of a sweep, and those left out as too large.

    Sizes that the user named are all kept.
    """
    for name, sizes in settings.sweep.sizes.items():
        if name == step:
            return tuple(sorted(sizes)), ()
    counts = {size: count_planned(plan_swept(step, size), shape) for size in SIZES[step]}
    return tuple(size for size in counts if counts[size] <= MOST_PARAMETERS), tuple(
        LeftOut(size=size, reason=f"{count / 1e6:,.0f} million parameters")
        for size, count in counts.items()
        if count > MOST_PARAMETERS
    )
