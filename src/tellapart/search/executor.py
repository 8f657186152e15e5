"""Where cells run: one ``submit``, any machine. In this process is the reference."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

Settings = TypeVar("Settings")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs functions on settings; the future's ``result()`` returns or raises."""

    def submit(
        self, function: Callable[[Settings], Result], settings: Settings
    ) -> Future[Result]: ...


class InlineExecutor:
    """Runs each function at once, in this process."""

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(function(settings))
        except Exception as error:
            future.set_exception(error)
        return future
