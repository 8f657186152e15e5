"""What a study will do when the user does not say: epochs, batch, sizes, trials, seeds.

The rules depend on the data alone; ``plan.budget`` shortens what this machine is too slow for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tellapart.config import (
    EQUIVALENCE,
    NOTEBOOK,
    NOTEBOOK_EPOCHS,
    OPTIMIZERS,
    Augment,
    HeadSettings,
    Positive,
    Protocol,
    RecipeSettings,
    Settings,
    Share,
    TrainSettings,
    choose_recipe,
)
from tellapart.device import DeviceName
from tellapart.models import Network, NetworkSettings, Shape, SimpleSettings, count_planned
from tellapart.models.tuned import TuneSettings
from tellapart.records import (
    STEPS,
    LeftOut,
    Scalar,
    StepName,
)

CONV_SIZES = (16, 32, 64, 128, 256, 512, 1024)
DENSE_SIZES = (64, 128, 256, 512, 1024, 2048)
MOST_PARAMETERS = 32_000_000
"""Default sizes whose network would be larger are left out, and the report says so."""

VIEWS = {
    "baseline": 450_000,
    "conv": 180_000,
    "dense": 180_000,
    "trial": 225_000,
    "search": 1_350_000,
}
"""Images shown in a whole training, from which the epochs follow."""

FEWEST = {"baseline": 10, "conv": 4, "dense": 4, "trial": 5, "search": 15}
MOST = {"baseline": 40, "conv": 20, "dense": 20, "trial": 20, "search": 60}

MOST_SEEDS = 10
"""Of a size on which a verdict hangs."""

FEW_IMAGES = 10_000
MINUTES = (30.0, 15.0)
"""What the trainings of a study may take unless told, and with fewer than ``FEW_IMAGES``."""

SIMPLE = SimpleSettings()


class TransferSettings(Settings):
    """What the transfer step uses; no backbone named is the packaged one.

    Heads of all ``kinds`` are fitted, on the images and on up to ``views`` further views of each,
    which ``augment`` makes; the best one on val is taken. ``image_size`` None: the resolution that
    does best on a part of the images, where these are smaller than what the backbone was made for.
    ``tune`` says whether the best backbone then goes on learning with its head. ``head_sizes``
    of the dense one are swept, where there are any, and all backbones are cross-validated in so
    many ``folds``. ``max_memory``: gigabytes that the process may take while it computes features;
    None: what is free.
    """

    backbones: tuple[str, ...] = ()
    head: HeadSettings = HeadSettings()
    kinds: tuple[Literal["logistic", "dense"], ...] = ("logistic", "dense")
    views: Annotated[int, Field(ge=0, le=20)] = 0
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = None
    augment: Augment = "flip+shift+rotation+zoom"
    tune: TuneSettings = TuneSettings()
    head_sizes: tuple[Positive, ...] = ()
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    max_memory: Annotated[float, Field(gt=0)] | None = None


class SweepSettings(Settings):
    """What the user asked of the sweeps: sizes by step, seeds a size, the margin of a verdict.

    ``first`` is how many ``auto`` seeds begin with; ``equivalence`` the difference of accuracy up
    to which sizes count as equal; ``processes`` how many networks are trained at once, with one
    core each where there are several. ``auto`` has as many as cores for the sizes that it is
    measured to make faster. ``vary`` has the values of one or two settings, by name, that a sweep
    without steps trains in all combinations.
    """

    sizes: dict[Literal["conv", "dense"], tuple[int, ...]] = Field(default_factory=dict)
    seeds: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    first: Positive | None = None
    equivalence: Share = EQUIVALENCE
    processes: Positive | Literal["auto"] = "auto"
    vary: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)


class StudySettings(Settings):
    """What the user asked of a study; None leaves the choice to the plan."""

    protocol: Protocol = "holdout"
    steps: tuple[StepName, ...] = STEPS
    model: Network = SIMPLE
    recipe: RecipeSettings = RecipeSettings()
    epochs: Annotated[int, Field(ge=1)] | None = None
    sweep: SweepSettings = SweepSettings()
    trials: Annotated[int, Field(ge=1)] | None = None
    transfer: TransferSettings = TransferSettings()
    seed: Annotated[int, Field(ge=0)] = 0
    minutes: Annotated[float, Field(gt=0)] | None = None
    device: DeviceName = "auto"
    learn: bool | None = None

    @property
    def learns(self) -> bool:
        """Whether to ask if more data would help: unless told, after all steps, on val alone."""
        whole = self.steps == STEPS and self.protocol == "holdout"
        return whole if self.learn is None else self.learn

    @field_validator("steps")
    @classmethod
    def order_steps(cls, steps: tuple[StepName, ...]) -> tuple[StepName, ...]:
        """Put the steps in the order of the study, each once."""
        return tuple(step for step in STEPS if step in steps)


def plan_epochs(settings: StudySettings, part: str, images: int) -> int:
    """Return the epochs of one training.

    Args:
        part: ``baseline``, ``conv``, ``dense``, ``trial`` (of the search), ``search`` (its
            winner) or ``transfer``.
        images: training images.

    >>> plan_epochs(StudySettings(), "baseline", 45_000)
    10
    """
    if settings.epochs is not None:
        return settings.epochs
    if settings.protocol == "notebook":
        return NOTEBOOK_EPOCHS["search" if part == "trial" else part]
    if part == "transfer":
        return HeadSettings().epochs
    return max(FEWEST[part], min(MOST[part], VIEWS[part] // images))


def plan_recipe(
    settings: StudySettings,
    part: str,
    images: int,
    seed: int,
    model: NetworkSettings = SIMPLE,
) -> TrainSettings:
    """Return the recipe of one training from scratch; a search sets its trials' augmentation.

    A baseline of a deeper network than ``simple`` has the epochs of a search's winner.
    """
    longer = part == "baseline" and model.name != "simple"
    epochs = plan_epochs(settings, "search" if longer else part, images)
    asked = settings.recipe.model_dump(exclude_none=True)
    if settings.protocol == "notebook":
        own: dict[str, Any] = {}
        if settings.recipe.optimizer not in (None, NOTEBOOK.optimizer):
            other = OPTIMIZERS[settings.recipe.optimizer]
            own = other.model_dump(include={"lr", "schedule"})
        return NOTEBOOK.model_copy(update=own | {"epochs": epochs, "seed": seed} | asked)
    batch = asked.get("batch_size", plan_batch(images))
    recipe = scale_rate(choose_recipe(model.recipe, settings.recipe), batch)
    return recipe.model_copy(update={"epochs": epochs, "seed": seed} | asked)


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


def plan_head(settings: StudySettings) -> HeadSettings:
    """Return the head's settings; the notebook's has no dropout, decay or smoothing."""
    head = settings.transfer.head
    if settings.protocol == "notebook":
        plain = {
            "schedule": "constant",
            "dropout": 0.0,
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "batch_size": 64,
        }
        head = HeadSettings(dense=head.dense, **plain)  # type: ignore[arg-type]  # mixed values
    epochs = head.epochs
    if settings.epochs is not None or settings.protocol == "notebook":
        epochs = plan_epochs(settings, "transfer", 0)
    return head.model_copy(update={"epochs": epochs, "seed": settings.seed})


def plan_heads(settings: StudySettings) -> tuple[HeadSettings, ...]:
    """Return the heads to try; the notebook had its dense one alone."""
    head = plan_head(settings)
    if settings.protocol == "notebook":
        return (head,)
    return tuple(head.model_copy(update={"kind": kind}) for kind in settings.transfer.kinds)


def plan_tuning(settings: StudySettings) -> TuneSettings:
    """Return how the best backbone is fine-tuned."""
    return settings.transfer.tune.model_copy(update={"seed": settings.seed})


def plan_seeds(settings: StudySettings, images: int) -> tuple[int, int]:
    """Return the seeds that every size has, and the most that one may have.

    A number that the user named is both. Else 3, or 2 above 20,000 images, unless the user named
    with how many to begin, and ``MOST_SEEDS`` where they decide; the notebook had 1.
    """
    if isinstance(settings.sweep.seeds, int):
        return settings.sweep.seeds, settings.sweep.seeds
    if settings.protocol == "notebook" and settings.sweep.seeds is None:
        return 1, 1
    first = settings.sweep.first or (3 if images <= 20_000 else 2)
    return first, max(first, MOST_SEEDS)


def plan_trials(settings: StudySettings) -> int:
    """Return the trials of the search; the notebook tried one network by hand."""
    if settings.trials is not None:
        return settings.trials
    return 1 if settings.protocol == "notebook" else 8


def plan_minutes(settings: StudySettings, images: int) -> float | None:
    """Return the minutes that the steps which train may take; the notebook had no limit."""
    if settings.minutes is not None or settings.protocol == "notebook":
        return settings.minutes
    return MINUTES[images < FEW_IMAGES]


def plan_swept(step: StepName, size: int) -> NetworkSettings:
    """Return the network of one size: dense 128 while width varies, width 64 while dense does."""
    if step == "conv":
        return SimpleSettings(width=size, dense=128)
    return SimpleSettings(width=64, dense=size)


def plan_sizes(
    settings: StudySettings, step: StepName, shape: Shape
) -> tuple[tuple[int, ...], tuple[LeftOut, ...]]:
    """Return the sizes of a sweep, and those left out as too large.

    Sizes that the user named are all kept.
    """
    if step in settings.sweep.sizes:
        return tuple(sorted(settings.sweep.sizes[step])), ()
    sizes = CONV_SIZES if step == "conv" else DENSE_SIZES
    counts = {size: count_planned(plan_swept(step, size), shape) for size in sizes}
    return tuple(size for size in sizes if counts[size] <= MOST_PARAMETERS), tuple(
        LeftOut(size=size, reason=f"{counts[size] / 1e6:,.0f} million parameters")
        for size in sizes
        if counts[size] > MOST_PARAMETERS
    )
