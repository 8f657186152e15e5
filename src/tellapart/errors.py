"""Every exception that tellapart raises on purpose.

    TellapartError             exit code 1
    ├── UserError              exit code 2: the user must change something
    │   ├── SettingError       an argument or option is not acceptable
    │   ├── DataError          the images or labels cannot be used
    │   ├── BackboneError      pretrained weights cannot be had or do not fit
    │   ├── WorkspaceError     the output folder cannot be used
    │   └── DeviceError        the device asked for is not there
    ├── NotFinite              exit code 1: a training came to a loss or output that is no number
    ├── CellDied               exit code 1: the process of a training died, and died again
    ├── Unreadable             exit code 1: some images to be classified could not be read
    ├── Hopeless               exit code 1: a trial of a search that was stopped before its end
    ├── Interrupted            exit code 3: stopped by a signal, resumable
    └── BudgetError            exit code 4: time or memory asked for is too small

A message says the rule, the value it got, and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TellapartError(Exception):
    """Something went wrong that tellapart could name."""

    exit_code = 1


class UserError(TellapartError):
    """The user must change something."""

    exit_code = 2


class SettingError(UserError, ValueError):
    """An argument or option is not acceptable.

    ``name`` is the setting that the message begins with, ``flag`` what it is on the command line.
    """

    name = flag = ""


class DataError(UserError):
    """The images or labels cannot be used as they are."""


class BackboneError(UserError):
    """A pretrained backbone cannot be had, or does not fit."""


class WorkspaceError(UserError):
    """The output folder cannot be used."""


class DeviceError(UserError):
    """The device asked for is not on this machine."""


class NotFinite(TellapartError):
    """A loss, or an output of a network, was infinite or not a number.

    ``seconds`` is what the whole epochs of its training had taken until then.
    """

    seconds: float = 0.0


class CellDied(TellapartError):
    """The process in which a training ran died, and the one after it too."""


Failure = NotFinite | CellDied
FAILURES = (NotFinite, CellDied)
"""What a training may end in without ending the work of the others."""


class Hopeless(TellapartError):
    """A trial was behind the others by so much that its search stopped it before its end.

    ``seconds`` is what its training had taken until then.
    """

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[Hopeless], tuple[str, float]]:
        return Hopeless, (str(self), self.seconds)


class Unreadable(TellapartError):
    """Some of the images could not be read; the others were classified."""


class Interrupted(TellapartError):
    """A signal stopped the work; starting the same command again goes on."""

    exit_code = 3


class BudgetError(TellapartError):
    """The time or memory allowed is too small for the work."""

    exit_code = 4


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else an empty string.

    >>> suggest_name("cifr10", ["digits", "cifar10"])
    "; did you mean 'cifar10'?"
    >>> suggest_name("zebra", ["digits", "cifar10"])
    ''
    """
    near = difflib.get_close_matches(name.casefold(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


EXTRAS = {
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "onnxruntime": "predict",
    **dict.fromkeys(("starlette", "uvicorn", "multipart", "python_multipart"), "serve"),
}
"""Packages that come with an extra other than ``study``, by the module's name."""


def say_missing(module: str) -> str:
    """Say which extra brings a module that is not installed.

    >>> say_missing("onnxruntime.capi")
    "this needs onnxruntime, which is not installed; pip install 'tellapart[predict]'"
    """
    name = module.partition(".")[0]
    extra = EXTRAS.get(name, "study")
    return f"this needs {name}, which is not installed; pip install 'tellapart[{extra}]'"
