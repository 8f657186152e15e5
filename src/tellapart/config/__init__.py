"""Options of training, heads and splits: flags and ``args.json`` come from these typed fields."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import Parameter
from pydantic import AfterValidator, BaseModel, Field, model_validator

from tellapart.config.base import Settings as Settings
from tellapart.config.base import check_name as check_name
from tellapart.config.base import make_settings as make_settings
from tellapart.errors import SettingError, suggest_name

Protocol = Literal["holdout", "notebook"]
OperationName = Literal["flip", "shift", "rotation", "zoom", "colour", "cutout", "mixup", "cutmix"]

OPERATIONS: tuple[OperationName, ...] = get_args(OperationName)
"""What augmentation can do to an image, in the order in which it is done."""

PRESETS: dict[str, tuple[OperationName, ...]] = {
    "none": (),
    "light": ("shift",),
    "standard": ("shift", "cutout"),
    "strong": ("shift", "rotation", "zoom", "colour", "cutout", "mixup"),
}
"""Names for several operations. None flips: a mirrored digit or sign may be another one."""


def list_operations(augment: str) -> tuple[OperationName, ...]:
    """Return the operations that presets and names joined by ``+`` mean, in order, each once.

    >>> list_operations("standard+flip")
    ('flip', 'shift', 'cutout')
    """
    named: set[str] = set()
    for name in augment.split("+"):
        if name not in PRESETS and name not in OPERATIONS:
            known = (*PRESETS, *OPERATIONS)
            error = SettingError(
                f"augment must be names of {', '.join(known)}, joined by +, but got {name!r}"
                f"{suggest_name(name, known)}"
            )
            error.name = "augment"
            raise error
        named.update(PRESETS.get(name, (name,)))
    return tuple(name for name in OPERATIONS if name in named)


def spell_augment(augment: str) -> str:
    """Return the one spelling of an augmentation: its operations in order, or ``none``."""
    return "+".join(list_operations(augment)) or "none"


Augment = Annotated[str, AfterValidator(spell_augment)]
"""Presets and operations joined by ``+``; kept in the one spelling, so that equals hash alike."""

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Schedule = Literal["constant", "cosine", "onecycle", "linear"]
OptimizerName = Literal["adam", "sgd", "muon"]


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression ({error})") from error
    return pattern


def _check_level(level: str) -> str:
    if level not in ("top", "leaf") and not (level.isdecimal() and int(level)):
        raise ValueError("must be top, leaf, or a number of folders from 1 on")
    return level


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression that is searched in a path; its first group counts, or else all of it."""


class ReadSettings(Settings):
    """How images that have no name are read: what their classes and groups are, what counts."""

    level: Annotated[str, AfterValidator(_check_level)] | None = Field(
        default=None,
        description="Where classes are folders inside folders: top, leaf, or how deep they lie.",
    )
    label_from: Pattern | None = Field(
        default=None,
        description="Regular expression on a file's path below DATA; its first group is the class.",
    )
    group_from: Pattern | None = Field(
        default=None,
        description="Regular expression on a file's path below DATA; its first group is the group, "
        "which no split divides.",
    )
    images: Path | None = Field(
        default=None, description="The folder that the paths in a table of images are below."
    )
    image_column: str | None = Field(
        default=None, description="A table's column of images: paths, or the images themselves."
    )
    label_column: str | None = Field(default=None, description="A table's column of classes.")
    split_column: str | None = Field(
        default=None, description="A table's column that says train, val or test."
    )
    group_column: str | None = Field(
        default=None,
        description="A table's column of groups, which no split divides; none: no groups.",
    )
    allow_missing: bool = Field(
        default=False, description="Leave out images that a table names and that are not there."
    )
    exclude: Path | None = Field(
        default=None, description="Leave out images that a CSV file names in a column file or hash."
    )
    group: Literal["parent"] | None = Field(
        default=None, description="parent: the images of one folder are a group."
    )
    min_images: int = Field(
        default=0, ge=0, description="Leave out classes of fewer images than so many."
    )
    follow_links: bool = Field(
        default=False, description="Follow links that lead out of a folder of images."
    )

    @property
    def names_table(self) -> str:
        """The flag, if one is given, that says something of tables alone."""
        columns = ("image_column", "label_column", "split_column", "group_column")
        given = (name for name in (*columns, "images") if getattr(self, name))
        return next(given, "").replace("_", "-")

    def refuse_unused(self, used: Sequence[str], name: str) -> None:
        """Refuse what says nothing of such data.

        Raises:
            SettingError: a setting is given that is neither among the used ones nor ``exclude``.
        """
        for field in self.model_dump(exclude_defaults=True, exclude={"exclude", *used}):
            raise SettingError(
                f"--{field.replace('_', '-')} says nothing of {name}, which is no folder of "
                "images; leave it out"
            )


IN_ARRAYS = ("image_column", "label_column")
IN_TABLES = (
    *(*IN_ARRAYS, "split_column", "group_column", "group_from", "images"),
    *("allow_missing", "min_images", "follow_links"),
)
"""Settings that say something of arrays in a file, and of tables."""
SplitName = Literal["given", "grouped"]


class SplitSettings(Settings):
    """How images without a given role are divided; every share is per class.

    ``split`` says whether roles that the data give are kept, or made anew by groups.
    """

    split: SplitName = "given"

    val_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    most: Annotated[int, Field(ge=1)] = 5000
    seed: Annotated[int, Field(ge=0)] = 0


class TrainSettings(Settings):
    """How a network is trained.

    ``averaging`` is the share of all steps over which the weights that are evaluated and kept are
    averaged, later ones counting more (0: the weights of the last step). ``patience`` is how many
    epochs in a row may bring nothing better before the training ends (0: it runs to its end).
    """

    epochs: Positive = 10
    batch_size: Positive = 128
    optimizer: OptimizerName = "adam"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Schedule = "onecycle"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Share = 0.0
    augment: Augment = "none"
    averaging: Share = 0.0
    patience: Annotated[int, Field(ge=0)] = 0
    class_weights: Literal["none", "balanced"] = "none"
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def mirrors(self) -> bool:
        """Whether the mean logits of an image and its mirror image count: training flipped too."""
        return "flip" in list_operations(self.augment)

    @model_validator(mode="after")
    def check_decay(self) -> TrainSettings:
        """Refuse a weight decay that would have no say: Muon fixes the norm of its filters."""
        if self.optimizer == "muon" and self.weight_decay:
            raise ValueError("optimizer muon has no weight_decay; leave it at 0")
        return self


class RecipeSettings(Settings):
    """What the user asked of the training from scratch; None leaves it to the network's recipe."""

    augment: Augment | None = Field(
        default=None,
        description=f"Presets ({', '.join(PRESETS)}) and operations ({', '.join(OPERATIONS)}), "
        "joined by +. No preset flips: add +flip where a mirrored image is of the same class.",
    )
    batch_size: Positive | None = Field(
        default=None,
        description="Images a step; the rate follows it [default: 128, or 32 for few images].",
    )
    optimizer: OptimizerName | None = Field(
        default=None,
        description="muon learns in fewer epochs [default: adam for simple, muon for others].",
    )
    lr: float | None = Field(
        default=None, gt=0, description="Highest learning rate [default: the optimiser's own]."
    )
    schedule: Schedule | None = Field(
        default=None,
        description="How the rate goes: onecycle climbs for a fifth of the steps, cosine for a "
        "twentieth, then both fall; linear falls all the way.",
    )
    averaging: Share | None = Field(
        default=None, description="Share of the steps that the weights are averaged over."
    )
    patience: int | None = Field(
        default=None,
        ge=0,
        description="End after so many epochs with nothing better [default: never].",
    )
    class_weights: Literal["none", "balanced"] | None = Field(
        default=None,
        description="balanced: every class counts the same in the loss, however few its images.",
    )


class HeadSettings(Settings):
    """The head of a transfer: one hidden layer of ``dense`` units (0: none) on the features.

    A ``logistic`` one has none: it is the minimum of a convex loss, and of the other settings
    only ``weight_decay`` is its own: the penalty, which is chosen on val.
    """

    flags = "--head-"

    kind: Annotated[Literal["dense", "logistic"], Parameter(parse=False)] = "dense"
    dense: int = Field(default=2048, ge=0, description="Hidden units of the dense head; 0: none.")
    dropout: Share = Field(default=0.5, description="Dropout of the dense head.")
    epochs: Positive = Field(default=20, description="Epochs of the dense head.")
    batch_size: Positive = Field(default=256, description="Images a step of the dense head.")
    lr: float = Field(default=1e-3, gt=0, description="Highest learning rate of the dense head.")
    schedule: Literal["constant", "onecycle"] = Field(
        default="onecycle", description="How the rate of the dense head goes."
    )
    weight_decay: float = Field(default=1e-2, ge=0, description="Weight decay of the dense head.")
    label_smoothing: Share = Field(default=0.1, description="Label smoothing of the dense head.")
    patience: int = Field(
        default=0,
        ge=0,
        description="End the dense head after so many epochs with nothing better; 0: never.",
    )
    seed: Annotated[int, Field(ge=0), Parameter(parse=False)] = 0


class TuneSettings(Settings):
    """Fine-tuning of a backbone, from the head that was fitted on its frozen features."""

    flags = "--finetune-"

    depth: Annotated[Literal["none", "last", "all"], Parameter(name="--finetune")] = Field(
        default="none", description="Then train the backbone's last third too, or all of it."
    )
    decay: Share = Field(default=0.7, description="Rate of a layer over that of the one behind it.")
    epochs: Positive = Field(default=10, description="Epochs of the fine-tuning.")
    batch_size: Positive = Field(default=32, description="Images a step of the fine-tuning.")
    lr: float = Field(default=5e-4, gt=0, description="Highest learning rate of the fine-tuning.")
    weight_decay: float = Field(default=0.05, ge=0, description="Weight decay of the fine-tuning.")
    label_smoothing: Share = Field(default=0.1, description="Label smoothing of the fine-tuning.")
    augment: Augment = Field(default="shift", description="Augmentation of the fine-tuning.")
    seed: Annotated[int, Field(ge=0), Parameter(parse=False)] = 0

    @property
    def recipe(self) -> TrainSettings:
        """How the network is trained; ``lr`` is the rate of its head."""
        own = self.model_dump(exclude={"depth", "decay"})
        return TrainSettings(optimizer="adam", schedule="cosine", **own)


NOTEBOOK = TrainSettings(batch_size=64, schedule="constant")
"""The reference study's recipe: Adam at 1e-3, batch 64, constant rate; it ran in float32."""

OPTIMIZERS: dict[OptimizerName, TrainSettings] = {
    "adam": TrainSettings(),
    "sgd": TrainSettings(optimizer="sgd", lr=0.05),
    "muon": TrainSettings(optimizer="muon", lr=0.05, schedule="linear"),
}
"""The rate and schedule of each optimiser, at a batch of 128."""


def choose_recipe(own: TrainSettings, asked: RecipeSettings) -> TrainSettings:
    """Return a network's own recipe; with another optimiser, at that one's rate and schedule."""
    if asked.optimizer in (None, own.optimizer):
        return own
    changed = OPTIMIZERS[asked.optimizer].model_dump(include={"optimizer", "lr", "schedule"})
    return own.model_copy(update=changed)


def hash_settings(*parts: Any) -> str:
    """Return ten hexadecimal digits that name these settings, whatever the order of keys."""
    plain = [part.model_dump() if isinstance(part, BaseModel) else part for part in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
