"""Work in processes of their own, a few at once, with one core each.

A thread for each process hands it work and waits for the answer. A process that dies is replaced
and its work tried once more; a stop that is asked for is handed on; processes whose parent is gone
end by themselves.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from types import TracebackType
from typing import Any

from tellapart.device import limit_threads
from tellapart.errors import CellDied, TellapartError
from tellapart.search.executor import Result, Settings
from tellapart.stop import SIGNALS, ask_stop, check_stop, find_stop

LOOK = 0.1
"""Seconds between two looks at whether a stop was asked for."""
PARENT_LOOK = 0.5
"""Seconds between two looks of a process at whether its parent is alive."""
TRIES = 2

Weigh = Callable[[Any], int]
Watch = Callable[[Any, Any], None]
Task = tuple[Callable[[Any], Any], Any, "Future[Any]"]


def weigh_nothing(settings: object) -> int:
    """Reckon no memory."""
    return 0


def watch_nothing(settings: object, outcome: object) -> None:
    """Show nothing."""


class ProcessExecutor:
    """Runs functions in up to ``count`` processes; a context manager.

    Functions, settings and results must be picklable; a function that is submitted again and again
    is sent to each process once. Processes start when they are first needed.

    Args:
        count: processes at once.
        weigh: gives the bytes that a piece of work may take; no more run at once than fit in
            ``room``, but always one.
        watch: called with the settings and the result or exception of each finished piece, from
            threads other than the main one.
    """

    def __init__(
        self,
        count: int,
        weigh: Weigh = weigh_nothing,
        room: float = float("inf"),
        watch: Watch = watch_nothing,
    ) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._weigh, self._watch = weigh, watch
        self._gate = Gate(room)
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

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
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, function: Callable[[Settings], Result], settings: Settings) -> Future[Result]:
        """Run ``function(settings)`` in a process; the future has its result, or its exception.

        The exception is `CellDied` where the process died, and died again when it was tried anew.
        """
        future: Future[Result] = Future()
        self._tasks.put((function, settings, future))
        return future

    def _work(self) -> None:
        """Hand tasks to one process, until there are none."""
        hand = Hand()
        try:
            while (task := self._tasks.get()) is not None:
                function, settings, future = task
                if self._closing.is_set():
                    future.cancel()
                    continue
                try:
                    with self._gate.hold(self._weigh(settings)):
                        outcome: Any = hand.run(function, settings, self._closing)
                except Exception as found:  # the caller's, by the future
                    outcome = found.error if isinstance(found, Raised) else found
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
                with suppress(Exception, SystemExit):  # a pipe that nobody reads: work goes on
                    self._watch(settings, outcome)
        finally:
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


class Hand:
    """One process at a time, started when it is needed, and replaced when it died."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._sent: object = None

    def run(
        self, function: Callable[[Any], Any], settings: object, closing: threading.Event
    ) -> Any:
        """Return what the function gives in the process, or raise what it raises there.

        Raises:
            CellDied: the process died, and the one after it too.
            Interrupted: a stop was asked for.
        """
        codes: list[int | None] = []
        while len(codes) < TRIES:
            check_stop()
            try:
                return self._try(function, settings, closing)
            except (EOFError, OSError):
                codes.append(self._bury())
        raise CellDied(
            f"its process died {TRIES} times (exit codes {', '.join(map(str, codes))}; "
            "-9 is often a lack of memory); use fewer --processes"
        )

    def _try(
        self, function: Callable[[Any], Any], settings: object, closing: threading.Event
    ) -> Any:
        if self._process is None:
            self._start()
        pipe, process = self._pipe, self._process
        assert pipe is not None and process is not None and process.pid is not None
        if self._sent is not function:
            pipe.send((True, function))
            self._sent = function
        pipe.send((False, settings))
        told = False
        while not pipe.poll(LOOK):
            number = find_stop() or (signal.SIGTERM if closing.is_set() else None)
            if number is not None and not told:
                told = True
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)
        fine, content = pipe.recv()
        if not fine:
            raise Raised(content)
        return content

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, os.getpid()), daemon=True)
        process.start()
        theirs.close()
        self._process, self._pipe, self._sent = process, ours, None

    def _bury(self) -> int | None:
        if self._process is None or self._pipe is None:  # it could not even be started
            return None
        self._pipe.close()
        self._process.join()
        code = self._process.exitcode
        self._process = self._pipe = None
        return code

    def close(self) -> None:
        """End the process: it has nothing to do."""
        if self._process is not None:
            self._bury()


class Raised(Exception):
    """Carries an exception over from a process, so that it is not taken for one of its pipe."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def serve(pipe: Connection, parent: int) -> None:
    """Do what comes through a pipe, one piece after another, until it is closed."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: ask_stop(number))
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()
    limit_threads(1)
    function: Callable[[Any], Any] | None = None
    while True:
        try:
            is_function, content = pipe.recv()
        except EOFError:
            return
        if is_function:
            function = content
            continue
        assert function is not None
        try:
            answer: tuple[bool, Any] = True, function(content)
        except Exception as error:  # the parent raises it
            answer = False, error
        with suppress(BrokenPipeError):
            try:
                pipe.send(answer)
            except (TypeError, AttributeError, PicklingError):  # it cannot be handed over
                pipe.send((False, TellapartError(repr(answer[1]))))


def _follow_parent(parent: int) -> None:
    """End at once when the parent is gone: another start may be at work on the same folder."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK)
    os._exit(1)
