"""The base of all records, the names of roles, and what a folder says of itself."""

from __future__ import annotations

import reprlib
import textwrap
from typing import Literal

from pydantic import BaseModel, ConfigDict

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
