"""Workers of a Ray cluster, each call a task with its cores, memory and GPUs.

The folder of the study, and the cache, must be seen by all machines alike.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from tellapart.cells.executor import LITTLE, Executor, Resources, Result, call_portably
from tellapart.device import limit_threads, prepare_libraries
from tellapart.errors import CellDied, Interrupted, SettingError
from tellapart.stop import SIGNALS, ask_stop, clear_stop, find_stop

WAIT = 0.1
"""Seconds between two looks at whether a stop was asked for."""


class RayExecutor(Executor):
    """Runs calls as tasks of the Ray cluster that ``RAY_ADDRESS`` names, or that runs here.

    Where there is none, one is started, and ended again.

    Raises:
        SettingError: Ray is not installed, or the cluster does not answer.
    """

    remote = True
    local = False

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise SettingError(
                "--executor ray needs Ray, which is not installed; pip install 'tellapart[ray]'"
            ) from error
        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            # as Ray will do by itself: a task without a GPU sees what its machine lets it see
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            try:
                with keep_handlers():
                    ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise SettingError(
                    f"--executor ray found no cluster at RAY_ADDRESS="
                    f"{os.environ.get('RAY_ADDRESS', '')} ({_shorten(error)}); start one with "
                    "ray start --head, or take another --executor"
                ) from error
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._most = {
            name: max((node["Resources"].get(name, 0) for node in ray.nodes()), default=0)
            for name in ("CPU", "GPU", "memory")
        }
        self._tasks: dict[Future[Any], Any] = {}
        self._told: set[Future[Any]] = set()
        self._closing, self._over = threading.Event(), threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> RayExecutor:
        self._watching.start()
        return self

    def close(self, kind: type[BaseException] | None) -> None:
        if kind is not None:
            self._closing.set()
            if issubclass(kind, KeyboardInterrupt) and find_stop() is not None:
                for task in list(self._tasks.values()):  # a second signal does not wait
                    self._ray.cancel(task, force=True)
        wait(list(self._tasks))
        self._over.set()
        self._watching.join()
        if self._own:
            self._ray.shutdown()

    def submit(
        self, function: Callable[..., Result], /, *args: object, resources: Resources = LITTLE
    ) -> Future[Result]:
        """Run a call where its cores and GPUs are free, and as much memory as the largest has.

        Raises:
            SettingError: no machine of the cluster has so many cores or GPUs.
        """
        for name, count in (("CPU", resources.cores), ("GPU", resources.gpus)):
            if count > self._most[name]:
                raise SettingError(
                    f"a training needs {count} {name}, but the largest machine of the Ray cluster "
                    f"has {self._most[name]:g}; add one, or take another --executor or --device"
                )
        task = self._ray.remote(_call).options(
            num_cpus=resources.cores,
            num_gpus=resources.gpus,
            memory=min(resources.memory, self._most["memory"]) or None,
            max_retries=1,  # of a worker that died
        )
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        reference = task.remote(function, args, resources.cores)
        self._tasks[future] = reference
        reference.future().add_done_callback(lambda done: self._pass_on(done, future))
        return future

    def _pass_on(self, done: Future[Any], future: Future[Any]) -> None:
        """Give the caller what a task came to."""
        error, exceptions = done.exception(), self._ray.exceptions
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, exceptions.RayTaskError):
            cause = error.cause
            if isinstance(cause, exceptions.RayError):  # the call never began
                cause = SettingError(
                    "--executor ray needs this tellapart and what it needs on each machine of the "
                    f"cluster, but a worker said {_shorten(cause)}; install it there"
                )
            future.set_exception(cause)
        elif future in self._told or isinstance(error, exceptions.TaskCancelledError):
            future.set_exception(Interrupted("stopped; the same command goes on from here"))
        else:
            future.set_exception(CellDied(f"its worker died 2 times ({_shorten(error)})"))
        self._tasks.pop(future, None)

    def _watch(self) -> None:
        """Hand a stop that is asked for to all tasks, once each."""
        while not self._over.wait(WAIT):
            if find_stop() is not None or self._closing.is_set():
                for future, task in list(self._tasks.items()):
                    if future not in self._told:
                        self._told.add(future)
                        self._ray.cancel(task)


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Put handlers of signals back after a ``with`` block: Ray's SIGTERM ends without saving."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _call(function: Callable[..., Any], args: tuple[object, ...], cores: int) -> Any:
    """Call a function in a worker, whom Ray asks to stop by an interrupt."""
    prepare_libraries()
    limit_threads(max(1, cores))
    before = signal.signal(signal.SIGINT, lambda number, frame: ask_stop(signal.SIGTERM))
    try:
        return call_portably(function, args)
    finally:
        signal.signal(signal.SIGINT, before)
        clear_stop()


def _shorten(error: BaseException) -> str:
    """Return the first line of what Ray says, of which there may be many."""
    return str(error).partition("\n")[0][:200]
