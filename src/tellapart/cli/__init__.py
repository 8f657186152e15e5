"""The command line: arguments to one call; errors to exit codes."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import cyclopts

from tellapart.cli import tools, transfers  # their commands join the app's
from tellapart.cli.commands import app
from tellapart.device import spare_triton
from tellapart.errors import TellapartError
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
    return 0


def run() -> NoReturn:
    """Run the command line and end the process with its exit code.

    One of several processes of ``torchrun`` ends without taking the interpreter down in order:
    threads of its connections may still hold tensors, and to free them then would abort it.
    """
    spare_triton()
    code = main()
    if "WORLD_SIZE" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _say_usage(error: cyclopts.CycloptsError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines)} (see tellapart --help)"
