"""Calls that executors are given; none loads torch before it runs."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tellapart.errors import NotFinite
from tellapart.stop import check_stop


class Awkward(Exception):
    """Pickles, but cannot be read again: its arguments are not those that it was made with."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"awkward {first} {second}")


def square(number: int) -> int:
    time.sleep(0.02 * (number % 2))  # the order of finishing is not that of the calls
    return number * number


def diverge(seconds: float) -> None:
    error = NotFinite("the loss is not finite")
    error.seconds = seconds
    raise error


def be_awkward() -> None:
    raise Awkward(1, 2)


def die(folder: Path, times: int) -> str:
    """Die as by a lack of memory, the first so many times."""
    deaths = len(list(folder.glob("death-*")))
    if deaths < times:
        (folder / f"death-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def wait_for_stop(folder: Path, number: int) -> None:
    """Say that it is at work, and work until it is asked to stop."""
    (folder / f"began-{number}").write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
        check_stop()


def wait_for(folder: Path, *numbers: int) -> list[int]:
    """Wait until calls are at work, and return their processes."""
    paths = [folder / f"began-{number}" for number in numbers]
    end = time.monotonic() + 60
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < end
        time.sleep(0.02)
    return [int(path.read_text()) for path in paths]


def never_stop(folder: Path) -> None:
    (folder / "began-0").write_text(str(os.getpid()))
    time.sleep(600)


def count_call(folder: Path, number: int) -> int:
    (folder / f"call-{number}-{time.monotonic_ns()}").touch()
    return number


def describe_process() -> tuple[int, int]:
    import torch

    return os.getpid(), torch.get_num_threads()


def read_environment(name: str) -> tuple[str, int]:
    import torch

    time.sleep(0.3)  # so that each worker gets some
    return os.environ[name], torch.get_num_threads()


def stop_oneself(folder: Path) -> str:
    """Hear a stop, the first time, that the caller did not ask for."""
    if not (folder / "stopped").exists():
        (folder / "stopped").touch()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        check_stop()
    return "done"


def print_aloud() -> None:
    print("a library says something")


def name_module(name: str) -> bool:
    return sys.modules[name] is None
