"""The command line: arguments to one call; errors to exit codes."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from typing import NoReturn

import cyclopts
from pydantic import ValidationError

from tellapart.cli import explain, export, predict, serve, tools  # their commands join the app's
from tellapart.cli.commands import app
from tellapart.console import find_failure, open_streams, print_error
from tellapart.data import NAMED
from tellapart.device import prepare_libraries
from tellapart.errors import (
    BudgetError,
    Interrupted,
    SettingError,
    TellapartError,
    UserError,
    say_missing,
)
from tellapart.stop import catch_signals
from tellapart.workspace import check_home

__all__ = ["app", "explain", "export", "main", "predict", "run", "serve", "tools"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        check_home()
        with catch_signals():
            app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        print_error(_say_refusal(error))
        return UserError.exit_code
    except TellapartError as error:
        print_error(_say_setting(error) if isinstance(error, SettingError) else str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print_error("stopped; the same command goes on from here")
        return Interrupted.exit_code
    except (MemoryError, RuntimeError) as error:
        if not (said := _say_memory(error)):
            raise
        print_error(said)
        return BudgetError.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "tellapart").startswith("tellapart"):
            raise
        print_error(say_missing(str(error.name)))
        return UserError.exit_code
    except OSError as error:
        print_error(
            f"{error.filename or 'a file'} cannot be used ({error.strerror or error}); change "
            "that, or name another"
        )
        return UserError.exit_code
    failure = find_failure()
    if failure is None or isinstance(failure, BrokenPipeError):  # who reads it has seen enough
        return 0
    print_error(
        f"the answer could not be written to standard output ({failure.strerror}); free space, or "
        "send it elsewhere: what was computed is kept"
    )
    return UserError.exit_code


def run() -> NoReturn:
    """Run the command line and end the process with its exit code.

    A process that was stopped does not wait for its threads, which may hang.
    """
    open_streams()
    prepare_libraries()
    code = main()
    if code == Interrupted.exit_code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _say_memory(error: Exception) -> str:
    """Say that NumPy, PyTorch or its GPU found no room; nothing where that is not it."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not known and "can't allocate memory" not in str(error):  # PyTorch's words on a CPU
        return ""
    seen = re.sub(r"^\[enforce.*?== 0\. ", "", str(error)) or "an array did not fit"
    return (
        f"the memory ran out ({textwrap.shorten(seen, 110, placeholder='...')}); what is saved is "
        "kept: free some, or use smaller sizes, a smaller --batch-size or fewer --processes; the "
        "same command goes on"
    )


def _say_refusal(error: cyclopts.CycloptsError) -> str:
    """Say what a setting refuses, which cyclopts and pydantic have wrapped; or what is missing."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        inner = cause.errors()[0].get("ctx", {}).get("error")
        if isinstance(inner, SettingError):
            return _say_setting(inner)
    missing = error.argument if isinstance(error, cyclopts.MissingArgumentError) else None
    if missing is not None and missing.name.lstrip("-").casefold() == "data":
        command = " ".join(("tellapart", *(error.command_chain or ())))
        return (
            f"{command} needs images: a folder with a folder of images for each class, or a name "
            f"({', '.join(NAMED)}); such as {command} photos/"
        )
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        if word in NAMED or os.sep in word or os.path.isdir(word):
            return f"{word!r} is no command; did you mean tellapart study {word}?"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines)} (see tellapart --help)"


def _say_setting(error: SettingError) -> str:
    """Say which flag has a value that its setting refuses."""
    return error.flag + str(error).removeprefix(error.name) if error.flag else str(error)
