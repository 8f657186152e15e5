"""Workers of a Ray cluster, each call a task with its cores, memory and GPUs.

The folder of the study, and the cache, must be seen by all machines alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from tellapart.cells.executor import LITTLE, Resources, Result
from tellapart.errors import CellDied, SettingError


class RayExecutor:
    """Runs calls as tasks of the Ray cluster that ``RAY_ADDRESS`` names, or that is started here.

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
        self._ray = ray
        self._own = not ray.is_initialized()
        if self._own:
            try:
                ray.init(log_to_driver=False, logging_level="error")
            except (ConnectionError, RuntimeError) as error:
                raise SettingError(
                    f"--executor ray found no cluster at RAY_ADDRESS="
                    f"{os.environ.get('RAY_ADDRESS', '')} ({error}); start one with ray start "
                    "--head, or take another --executor"
                ) from error
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own:
            self._ray.shutdown()

    def submit(
        self,
        function: Callable[..., Result],
        /,
        *args: object,
        resources: Resources = LITTLE,
    ) -> Future[Result]:
        task = self._ray.remote(_call).options(
            num_cpus=resources.cores,
            num_gpus=resources.gpus,
            memory=resources.memory or None,
            max_retries=1,  # of a worker that died
        )
        future: Future[Result] = Future()
        done = task.remote(function, args, resources.cores).future()
        done.add_done_callback(lambda done: self._pass_on(done, future))
        return future

    def _pass_on(self, done: Future[Any], future: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            future.set_exception(error.cause)
        else:
            future.set_exception(CellDied(f"its worker died ({error!s:.200})"))


def _call(function: Callable[..., Any], args: tuple[object, ...], cores: int) -> Any:
    from tellapart.device import limit_threads, prepare_libraries

    prepare_libraries()
    limit_threads(max(1, cores))
    return function(*args)
