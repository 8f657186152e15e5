"""What a study will do, as it is kept in ``plan.json``."""

from __future__ import annotations

import reprlib
import textwrap
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

StepName = Literal["inspect", "baseline", "conv", "dense", "search", "transfer"]
STEPS: tuple[StepName, ...] = ("inspect", "baseline", "conv", "dense", "search", "transfer")
Place = StepName | Literal["learn", "grid"]
"""Where work is done: a step, or the question whether more data would help."""
PLACES: tuple[Place, ...] = (*STEPS, "learn", "grid")
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
    steps: tuple[StepName, ...] = STEPS


class StatusRecord(Record):
    """``status.json`` of a study, or of a training that failed after so many ``seconds``.

    ``folder`` is that of the images, where they are files.
    """

    status: str
    note: str = ""
    process: int | None = None
    seconds: float = 0.0
    folder: str = ""


class LeftOut(Record):
    """A size of a sweep that has no figures, and why: it was not tried, or it failed."""

    size: int
    reason: str


class SweepPlan(Record):
    """What a sweep will train, and how long that should take.

    Every size has ``seeds``; sizes that the verdict hangs on have up to ``most_seeds``, for which
    ``extra_seconds`` may be spent beyond ``seconds`` (None: no limit). The networks of the sizes
    ``apart`` are trained several at once, in processes with one core each.
    """

    sizes: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    seeds: int
    most_seeds: int
    extra_seconds: float | None = None
    epochs: int
    apart: tuple[int, ...] = ()
    seconds: float


class SearchPlan(Record):
    """What the search will try.

    No trial begins once ``trial_seconds`` are spent, the given ones aside; the winner is trained
    for at most ``epochs``, fewer where ``winner_seconds``, and those that the trials left, are
    short. Both are None where there is no budget. ``at_once`` trials are asked for together, and
    where that is more than one they are trained in processes with one core each.
    """

    trials: int
    trial_epochs: int
    width: int
    epochs: int
    trial_seconds: float | None
    winner_seconds: float | None
    at_once: int = 1
    seconds: float


class GridPlan(Record):
    """What varying settings will train; as in `SweepPlan`, with numbers of levels for sizes.

    ``epochs`` is None where they vary.
    """

    levels: int
    seeds: int
    most_seeds: int
    extra_seconds: float | None = None
    epochs: int | None
    cut: bool
    apart: tuple[int, ...] = ()
    seconds: float


class Need(Record):
    """What a step may need besides time: memory of all its processes, and room on the disk."""

    memory_mb: float
    disk_mb: float


class PlanRecord(Record):
    """``plan.json``: what a study will do, settled when it starts first.

    ``baseline`` is the epochs of step 2; ``expected`` has the seconds of each step that trains from
    scratch, ``needs`` its memory and disk. Seconds are what the measured pace of this machine lets
    expect; ``cut`` says whether that shortened what the data alone would have had. ``precision``
    is the number format of all its trainings, however often it is started again, and ``processes``
    how many train at once what is ``apart``: as many as fit in the memory.
    """

    minutes: float | None
    cut: bool
    precision: Literal["float32", "bfloat16"] = "float32"
    processes: int = 1
    baseline: int | None = None
    sweeps: dict[StepName, SweepPlan]
    search: SearchPlan | None
    grid: GridPlan | None = None
    expected: dict[Place, float] = Field(default_factory=dict)
    needs: dict[Place, Need] = Field(default_factory=dict)
    seconds: float
