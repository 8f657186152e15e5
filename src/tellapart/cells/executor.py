"""Where calls run: one ``submit``, any machine. In this process is the reference."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self, TypeVar

from tellapart.errors import TellapartError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Resources:
    """What a call needs: cores, bytes of memory, and GPUs."""

    cores: int = 1
    memory: int = 0
    gpus: int = 0


LITTLE = Resources()


class Executor(ABC):
    """Runs functions; a context manager.

    ``workers`` is how many calls run at once. Where an executor is ``remote``, functions,
    arguments and results travel to other processes: they must be picklable. A ``local`` one
    computes with the cores of this process.
    """

    workers: int = 1
    remote: bool = False
    local: bool = True

    @abstractmethod
    def submit(
        self, function: Callable[..., Result], /, *args: object, resources: Resources = LITTLE
    ) -> Future[Result]:
        """Run ``function(*args)``; the future has its result, or its exception.

        The exception is `CellDied` where the process died, and died again when it was tried anew.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close(kind)

    def close(self, kind: type[BaseException] | None) -> None:  # noqa: B027  (some have none)
        """End the workers; ``kind`` is the exception that ends the work, if one does."""


class InlineExecutor(Executor):
    """Runs each function at once, in this process."""

    def submit(
        self, function: Callable[..., Result], /, *args: object, resources: Resources = LITTLE
    ) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def call_portably(function: Callable[..., Result], args: tuple[object, ...]) -> Result:
    """Call a function in a worker; an exception that cannot be handed over is told in words."""
    try:
        return function(*args)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # its own, as the caller will read it
        except Exception:
            raise TellapartError(f"{type(error).__name__}: {error}") from None
        raise
