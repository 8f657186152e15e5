"""Work in processes of their own, a few at once.

A thread for each process hands it work and waits for the answer. A process that dies is replaced
and its work tried once more; a stop that is asked for is handed on; processes whose parent is gone
end by themselves.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tellapart.search.executor import Result, Settings
from tellapart.search.hand import LOOK, Hand
from tellapart.stop import check_stop, find_stop

IDLE = 5.0
"""Seconds without work after which a process ends; the next work starts another."""


@dataclass(frozen=True)
class Errand:
    """A piece of work that waits for a process."""

    function: Callable[[Any], Any]
    settings: Any
    weight: int
    future: Future[Any]


class ProcessExecutor:
    """Runs functions in up to ``count`` processes; a context manager.

    Functions, settings and results must be picklable; a function that is submitted again and again
    is sent to each process once. Processes start when they are needed, and end when they have been
    idle for ``IDLE`` seconds.

    Args:
        count: processes at once.
        room: bytes; no more work runs at once than fits, but always one piece.
        threads: that each computes with.
        environments: variables for each of the processes, such as the one GPU that it sees.
    """

    def __init__(
        self,
        count: int,
        room: float = float("inf"),
        threads: int = 1,
        environments: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._gate = Gate(room)
        self._closing = threading.Event()
        own = environments or [{}] * count
        self._hands = [Hand(threads, environment) for environment in own]
        self._threads = [
            threading.Thread(target=self._work, args=(hand,), daemon=True) for hand in self._hands
        ]
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> ProcessExecutor:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._closing.set()
            if issubclass(kind, KeyboardInterrupt) and find_stop() is not None:
                for hand in self._hands:  # a second signal: what is not saved by now is lost
                    hand.kill()
        for _ in self._threads:
            self._errands.put(None)
        for thread in self._threads:
            thread.join()

    def submit(
        self, function: Callable[[Settings], Result], settings: Settings, weight: int = 0
    ) -> Future[Result]:
        """Run ``function(settings)`` in a process; the future has its result, or its exception.

        The exception is `CellDied` where the process died, and died again when it was tried anew.

        Args:
            weight: bytes that the work may take.
        """
        future: Future[Result] = Future()
        self._futures = [one for one in self._futures if not one.done()] + [future]
        self._errands.put(Errand(function, settings, weight, future))
        return future

    def wait_idle(self) -> None:
        """Return when all that was submitted is done."""
        wait(self._futures)

    def _work(self, hand: Hand) -> None:
        """Hand errands to one process, until there are none."""
        try:
            while (errand := self._take(hand)) is not None:
                if self._closing.is_set():
                    errand.future.cancel()
                    continue
                try:
                    with self._gate.hold(errand.weight):
                        outcome = hand.run(errand.function, errand.settings, self._closing)
                except Exception as error:  # the caller's, by the future
                    errand.future.set_exception(error)
                else:
                    errand.future.set_result(outcome)
        finally:
            hand.close()

    def _take(self, hand: Hand) -> Errand | None:
        while True:
            try:
                return self._errands.get(timeout=IDLE)
            except queue.Empty:
                hand.close()


class Gate:
    """Lets work in while its weights fit in ``room``; a single piece always fits."""

    def __init__(self, room: float) -> None:
        self._room, self._held, self._inside = room, 0, 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, weight: int) -> Iterator[None]:
        """Wait until the weight fits, and hold it for the length of a ``with`` block.

        Raises:
            Interrupted: a stop was asked for while it waited.
        """
        with self._changed:
            while self._inside and self._held + weight > self._room:
                self._changed.wait(LOOK)
                check_stop()
            self._held += weight
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= weight
                self._inside -= 1
                self._changed.notify_all()
