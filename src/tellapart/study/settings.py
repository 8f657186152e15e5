"""What the user asks of a study. The flags of the command line are these fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import BeforeValidator, Field

from tellapart.cells import EXECUTORS
from tellapart.config import (
    Augment,
    HeadSettings,
    Positive,
    Protocol,
    RecipeSettings,
    Settings,
    SplitName,
    TuneSettings,
    check_name,
)
from tellapart.device import DeviceName
from tellapart.metrics.ranking import MARGIN
from tellapart.metrics.scores import SCORES
from tellapart.models import Network, SimpleSettings
from tellapart.records import Scalar


def read_list(value: Any) -> Any:
    """Read parts separated by commas, of one text or of several; anything else stays.

    >>> read_list("8, 16"), read_list(("8,16", "32"))
    (['8', '16'], ['8', '16', '32'])
    """
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        return value
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _read_count(pattern: str, rule: str) -> BeforeValidator:
    """Return what reads a number, or a text that has the pattern, as text."""

    def read(value: Any) -> Any:
        text = str(value) if isinstance(value, int) else value
        if isinstance(text, str) and not re.fullmatch(pattern, text):
            raise ValueError(f"must be a whole number from 1, {rule}or auto")
        return text

    return BeforeValidator(read)


Sizes = Annotated[tuple[Positive, ...], BeforeValidator(read_list)]
Count = Annotated[str, _read_count(r"auto|0*[1-9]\d*", "")]
Seeds = Annotated[str, _read_count(r"auto|0*[1-9]\d*\+?", "such a number and +, ")]
Hidden = Parameter(parse=False)


class SweepSettings(Settings):
    """What is asked of steps that vary something."""

    seeds: Seeds = Field(
        default="auto",
        description="Seeds a size; 3+: three, and more where they decide; auto: 2 or 3, and more.",
    )
    margin: float = Field(
        default=100 * MARGIN,
        ge=0,
        lt=100,
        description="Points of the score that a cheaper size may lose to the best and be taken; "
        "never more than a quarter of what the best lacks of 100.",
    )
    sizes: Annotated[dict[Literal["conv", "dense"], Sizes], Hidden] = Field(default_factory=dict)
    vary: Annotated[dict[str, tuple[Scalar, ...]], Hidden] = Field(default_factory=dict)


class SearchSettings(Settings):
    """What is asked of the search."""

    trials: Positive | None = Field(default=None, description="Trials of the search [default: 8].")


class TransferSettings(Settings):
    """What is asked of the transfer; no backbone named is the packaged one."""

    backbones: Annotated[tuple[str, ...], Parameter(name="--backbone")] = Field(
        default=(),
        description="A timm name, local-dir:FOLDER, hf-hub:NAME, or auto: the best of those that "
        "are here and free to use; may be repeated [default: efficientnet-lite0, which is "
        "installed].",
    )
    heads: Annotated[Literal["both", "logistic", "dense"], Parameter(name="--head")] = Field(
        default="both",
        description="logistic: its penalty is chosen on val; dense: one hidden layer.",
    )
    head: Annotated[HeadSettings, Parameter(name="*")] = HeadSettings()
    head_sizes: Sizes = Field(
        default=(), description="Sizes of the dense head to compare, such as 128,512,2048."
    )
    image_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description="Side in pixels of what the backbone sees [default: found on val].",
    )
    views: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Augmented views of each training image whose features are kept too.",
    )
    view_augment: Augment = Field(
        default="flip+shift+rotation+zoom", description="What a view does: operations joined by +."
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="Cross-validate a logistic head on each backbone, in so many folds.",
    )
    tune: Annotated[TuneSettings, Parameter(name="*")] = TuneSettings()
    max_memory: float | None = Field(
        default=None,
        gt=0,
        description="GB that computing features may take, all told [default: what is free].",
    )


class ComputeSettings(Settings):
    """Where trainings run; it may change from one start of a study to the next."""

    device: DeviceName = Field(default="auto", description="Where to compute.")
    executor: Annotated[str, check_name(EXECUTORS, "auto")] = Field(
        default="auto",
        description=f"Who trains: {', '.join(EXECUTORS)}; auto: local workers where that is "
        "faster, else this process.",
    )
    processes: Count = Field(
        default="auto",
        description="Networks trained at once, one core each; auto: as many as cores, where that "
        "is faster.",
    )


class RunSettings(Settings):
    """What every command that trains is asked."""

    epochs: Positive | None = Field(default=None, description="Epochs of every training.")
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="Minutes after which the command ends; what does not fit is left out "
        "[default: 30, or 15 below 10,000 training images].",
    )
    metric: Annotated[str, check_name(SCORES)] = Field(
        default="accuracy", description=f"The score that choices are made by: {', '.join(SCORES)}."
    )
    protocol: Protocol = Field(
        default="holdout",
        description="holdout: choose on val. notebook: as the reference study, on test.",
    )
    seed: int = Field(default=0, ge=0, description="First seed of trainings.")
    split_seed: int = Field(
        default=0, ge=0, description="Seed of what is val and test, where the data do not say."
    )
    split: SplitName = Field(
        default="given",
        description="given: keep the splits of the data. grouped: make them anew, so that none "
        "divides a group or copies.",
    )
    compute: Annotated[ComputeSettings, Parameter(name="*")] = ComputeSettings()


class StudySettings(RunSettings):
    """What the user asks of a study; None leaves the choice to the data and the time."""

    steps: Annotated[tuple[str, ...], BeforeValidator(read_list)] = ()
    model: Network = SimpleSettings()
    recipe: RecipeSettings = RecipeSettings()
    sweep: SweepSettings = SweepSettings()
    search: SearchSettings = SearchSettings()
    transfer: TransferSettings = TransferSettings()
