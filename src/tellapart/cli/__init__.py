"""The command line: arguments to one call; errors to exit codes."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from typing import NoReturn

import cyclopts

from tellapart.cli import tools, transfers  # their commands join the app's
from tellapart.cli.commands import app
from tellapart.device import prepare_libraries
from tellapart.errors import BudgetError, TellapartError
from tellapart.stop import catch_signals

__all__ = ["app", "main", "run", "tools", "transfers"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        with catch_signals():
            app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        print(f"tellapart: {_say_usage(error)}", file=sys.stderr)
        return 2
    except TellapartError as error:
        print(f"tellapart: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("tellapart: stopped; the same command goes on from here", file=sys.stderr)
        return 3
    except BrokenPipeError:
        return 0
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        print(f"tellapart: {_say_memory(error)}", file=sys.stderr)
        return BudgetError.exit_code
    return 0


def run() -> NoReturn:
    """Run the command line and end the process with its exit code.

    One of several processes of ``torchrun`` ends without taking the interpreter down in order:
    threads of its connections may still hold tensors, and to free them then would abort it.
    """
    prepare_libraries()
    code = main()
    if "WORLD_SIZE" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_lack_of_memory(error: Exception) -> bool:
    """Tell whether NumPy, PyTorch or its GPU found no room."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "can't allocate memory" in str(error)  # PyTorch's allocator for the CPU


def _say_memory(error: Exception) -> str:
    seen = re.sub(r"^\[enforce.*?== 0\. ", "", str(error)) or "an array did not fit"
    return (
        f"the memory ran out ({textwrap.shorten(seen, 110, placeholder='...')}); what is saved is "
        "kept: free some, or use smaller sizes, a smaller --batch-size or fewer --processes; the "
        "same command goes on"
    )


def _say_usage(error: cyclopts.CycloptsError) -> str:
    from tellapart.data import LOADERS

    names = ", ".join(LOADERS)
    missing = error.argument if isinstance(error, cyclopts.MissingArgumentError) else None
    if missing is not None and missing.name.lstrip("-").casefold() == "data":
        command = " ".join(("tellapart", *(error.command_chain or ())))
        return (
            f"{command} needs images: a folder with a folder of images for each class, or a name "
            f"({names}); such as {command} photos/"
        )
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        if word in LOADERS or os.sep in word or os.path.isdir(word):
            return f"{word!r} is no command; did you mean tellapart study {word}?"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines)} (see tellapart --help)"
