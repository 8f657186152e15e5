"""Workers on this machine: processes by joblib's loky, one call each at a time.

A thread for each call at work waits for its worker. A worker that dies is replaced and its call
tried once more; a stop that is asked for is handed on; workers whose parent is gone end by
themselves.
"""

from __future__ import annotations

import math
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from tellapart.cells.executor import LITTLE, Executor, Resources, Result, call_portably
from tellapart.device import prepare_libraries
from tellapart.errors import CellDied, Interrupted
from tellapart.stop import SIGNALS, ask_stop, check_stop, find_stop

TRIES = 2
WAIT = 0.1
"""Seconds between two looks at whether a stop was asked for."""
IDLE = 5.0
"""Seconds without calls after which a worker ends; the next call starts another."""
PARENT_WAIT = 0.5
SAFE_PATH = "PYTHONSAFEPATH"
"""Keeps a file in the working folder from hiding a module of Python or a library."""


class LocalExecutor(Executor):
    """Runs calls in up to ``workers`` processes, which start when they are needed.

    Args:
        memory: bytes; no more calls run at once than fit, but always one.
        threads: that each worker computes with.
        environments: variables for each worker, such as the one GPU that it sees.
    """

    remote = True

    def __init__(
        self,
        workers: int,
        memory: float = float("inf"),
        threads: int = 1,
        environments: Sequence[dict[str, str]] = (),
    ) -> None:
        self.workers = workers
        self._gate = Gate(memory)
        self._closing = threading.Event()
        common = {"OMP_NUM_THREADS": str(threads), SAFE_PATH: "1"}
        self._own = [Worker(common | own) for own in environments or [{}] * workers]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._own:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> LocalExecutor:
        start_trackers()
        return self

    def close(self, kind: type[BaseException] | None) -> None:
        if kind is not None:
            self._closing.set()
            if issubclass(kind, KeyboardInterrupt) and find_stop() is not None:
                for worker in self._own:  # a second signal: what is not saved by now is lost
                    worker.send(signal.SIGKILL)
        self._threads.shutdown(cancel_futures=kind is not None)
        for worker in self._own:
            worker.close()

    def submit(
        self, function: Callable[..., Result], /, *args: object, resources: Resources = LITTLE
    ) -> Future[Result]:
        return self._threads.submit(self._call, function, args, resources.memory)

    def _call(
        self, function: Callable[..., Result], args: tuple[object, ...], memory: int
    ) -> Result:
        worker = self._free.get()
        try:
            with self._gate.hold(memory):
                return worker.run(function, args, self._closing)
        finally:
            self._free.put(worker)


class Worker:
    """One process at a time, started when it is needed, and replaced when it dies."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._pool: Any = None

    def run(
        self,
        function: Callable[..., Result],
        args: tuple[object, ...],
        closing: threading.Event,
    ) -> Result:
        """Return what a call gives in the process, or raise what it raises there.

        Raises:
            CellDied: the process died, and the one after it too.
        """
        from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

        for _ in range(TRIES):
            check_stop()
            if closing.is_set():
                raise Interrupted("stopped before it began")
            if self._pool is None:
                own, start = self._environment, (os.getpid(),)
                self._pool = ProcessPoolExecutor(
                    1, timeout=IDLE, env=own, initializer=prepare_worker, initargs=start
                )
            try:
                future: Future[Result] = self._pool.submit(call_portably, function, args)
                return self._wait(future, closing)
            except BrokenProcessPool:
                self.close()
            except Interrupted:
                # a signal to all processes may reach a worker first
                if closing.wait(WAIT) or find_stop() is not None:
                    raise
                self.close()  # somebody else stopped it
        raise CellDied(
            f"its process died {TRIES} times, often for a lack of memory; use fewer --processes"
        )

    def send(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        pool = self._pool
        for pid in () if pool is None else list(pool._processes):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End the process, if there is one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def _wait(self, future: Future[Result], closing: threading.Event) -> Result:
        """Return what a future has, and hand a stop that is asked for to the process, once."""
        told = False
        while not wait([future], WAIT).done:
            number = find_stop() or (signal.SIGTERM if closing.is_set() else None)
            if number is not None and not told:
                told = True
                self.send(number)
        return future.result()


class Gate:
    """Lets calls in while their memory fits; a single one always does."""

    def __init__(self, memory: float) -> None:
        self._memory, self._held, self._inside = memory, 0, 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, memory: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them; a stop that is asked for is raised."""
        with self._changed:
            while self._inside and self._held + memory > self._memory:
                self._changed.wait(WAIT)
                check_stop()
            self._held += memory
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= memory
                self._inside -= 1
                self._changed.notify_all()


def start_trackers() -> None:
    """Start the processes that clean up, without their warning of what a killed parent left."""
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as own_tracker

    own = {"PYTHONWARNINGS": "ignore", SAFE_PATH: "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        own_tracker.ensure_running()
        resource_tracker.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def prepare_worker(parent: int) -> None:
    """Get a process ready for calls.

    A signal that the parent ignores, as a shell has it for what runs in the background, is ignored
    here too, but for SIGTERM, with which the parent itself asks for a stop.
    """
    for number in SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: ask_stop(number))
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()
    os.dup2(2, 1)  # what libraries print is no answer of the command
    from joblib.externals.loky import process_executor

    # loky replaces, with a warning, a worker that has grown by 300 MB since its first call; a
    # large network after a small one takes as much, and gives it back
    process_executor._MAX_MEMORY_LEAK_SIZE = math.inf
    prepare_libraries()


def _follow_parent(parent: int) -> None:
    """End at once when the parent is gone: another start may be at work on the same folder."""
    while os.getppid() == parent:
        time.sleep(PARENT_WAIT)
    os._exit(1)
