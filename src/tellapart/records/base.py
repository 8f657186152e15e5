"""The base of all records, what a folder says of itself, and what was planned in it."""

from __future__ import annotations

import reprlib
import textwrap
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = ("train", "val", "test")
Scalar = str | int | float | bool | None | tuple[int, ...]


class Record(BaseModel):
    """Base of all records: frozen; unknown names and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __repr__(self) -> str:
        """Return a few lines at most; ``model_dump`` gives all."""
        parts = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in self)
        return textwrap.shorten(f"{type(self).__name__}({parts})", 300, placeholder=" ...)")

    __str__ = __repr__


class Identity(Record):
    """``identity.json``: what a study is of; and all its settings, by name."""

    model_config = ConfigDict(extra="allow")

    data: str
    fingerprint: str
    steps: tuple[str, ...]


class StatusRecord(Record):
    """``status.json`` of a study or of a failed training.

    ``folder`` is that of the images, and ``read`` how they were told to be read.
    """

    status: str
    note: str = ""
    process: int | None = None
    seconds: float = 0.0
    folder: str = ""
    read: dict[str, str | int | bool] = Field(default_factory=dict)


class LeftOut(Record):
    """A size of a sweep that has no figures, and why: it was not tried, or it failed."""

    size: int
    reason: str


class StepPlan(Record):
    """``plan.json`` of a step, chosen once, when it starts first.

    ``given`` is how many seconds it may take (None: as many as it needs), ``estimate`` how many
    it should; ``cut`` says what the time did not suffice for.
    """

    given: float | None = None
    estimate: float | None = None
    cut: tuple[str, ...] = ()
    text: str = ""


class TrainPlan(StepPlan):
    epochs: int
    share: float = 1.0


class SweepPlan(StepPlan):
    """Sizes (or numbers of levels) and their seeds: up to ``most_seeds`` where they decide.

    Several ``workers`` have one core each; sizes that take too much memory for that are trained
    ``alone``, with all cores.
    """

    sizes: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()
    seeds: int
    most_seeds: int
    epochs: int
    share: float = 1.0
    workers: int = 1
    alone: tuple[int, ...] = ()


class SearchPlan(StepPlan):
    """Trials of networks with up to ``width`` filters in the first layer, then the winner again."""

    trials: int
    trial_epochs: int
    width: int
    epochs: int
    share: float = 1.0
    workers: int = 1


class LearnPlan(StepPlan):
    """One network on growing shares; ``part`` is the step whose it is, or empty: the user's."""

    part: str
    shares: tuple[float, ...]
    seeds: int
    workers: int = 1


class StudyPlan(Record):
    """What all trainings of a study have in common, chosen when it starts first."""

    minutes: float | None
    precision: Literal["float32", "bfloat16"]
    workers: int


class PlanRecord(StudyPlan):
    """What ``--plan`` says: each step's plan, and the steps that the time does not suffice for.

    ``shown`` is the difference that ``tested`` images show four times in five, if two models
    disagree on 15 % of them.
    """

    steps: dict[str, SerializeAsAny[StepPlan]]
    left_out: dict[str, str] = Field(default_factory=dict)
    tested: int
    shown: float


class TransferPlan(StepPlan):
    """Backbones, by the name that they were asked for, with the sides in pixels to try."""

    sizes: dict[str, tuple[int, ...]]
    share: float = 1.0
