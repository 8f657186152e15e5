"""What every executor keeps to, and what those keep to that have workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tellapart.cells import EXECUTORS
from tellapart.cells.cell import run_cells
from tellapart.cells.executor import Executor, InlineExecutor, Resources
from tellapart.cells.local import LocalExecutor
from tellapart.errors import CellDied, Interrupted, NotFinite, SettingError, TellapartError
from tellapart.records import RunRecord
from tellapart.stop import ask_stop, clear_stop

from . import calls, work

RAY = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed; pip install 'tellapart[ray]'"
)


@pytest.fixture(autouse=True)
def forget_stops() -> Iterator[None]:
    yield
    clear_stop()


def train(executor: Executor, folder: Path) -> tuple[dict[str, bytes], list[RunRecord]]:
    """Return the weights and records of two cells, less what they took; a third one fails."""
    context = work.make_context(folder)
    with executor:
        cells = [work.make_cell(0), work.make_cell(1, lr=1e30), work.make_cell(2)]
        found = run_cells(context, cells, executor)
    assert isinstance(found[1], NotFinite)
    runs = [run for run in found if isinstance(run, RunRecord)]
    weights = {
        run.cell: (folder / run.folder / "weights/best.safetensors").read_bytes() for run in runs
    }
    times = {"seconds": 0.0, "predict_seconds": 0.0, "peak_memory_mb": 0.0}
    return weights, [
        run.model_copy(
            update=times
            | {"history": tuple(row.model_copy(update={"seconds": 0.0}) for row in run.history)}
        )
        for run in runs
    ]


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, bytes], list[RunRecord]]:
    return train(InlineExecutor(), tmp_path_factory.mktemp("here"))


class ExecutorContract:
    """What any executor keeps to."""

    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    def test_results_belong_to_their_calls(self, executor: Executor) -> None:
        with executor:
            futures = [executor.submit(calls.square, number) for number in range(6)]
            assert [future.result() for future in futures] == [0, 1, 4, 9, 16, 25]

    def test_a_function_may_be_made_on_the_spot(self, executor: Executor) -> None:
        base = 40
        with executor:
            assert executor.submit(lambda number: base + number, 2).result() == 42

    def test_an_exception_comes_out_of_the_future_and_others_go_on(
        self, executor: Executor
    ) -> None:
        with executor:
            first, second = executor.submit(calls.diverge, 1.5), executor.submit(calls.square, 3)
            error = first.exception()
            assert isinstance(error, NotFinite) and error.seconds == 1.5
            assert "not finite" in str(error)
            assert second.result() == 9

    def test_same_cells_same_records_and_weights_to_the_bit(
        self,
        executor: Executor,
        expected: tuple[dict[str, bytes], list[RunRecord]],
        tmp_path: Path,
    ) -> None:
        weights, runs = train(executor, tmp_path)
        assert weights == expected[0] and len(weights) == 2
        assert runs == expected[1]


class WorkersContract(ExecutorContract):
    """What executors keep to whose calls run in other processes."""

    def test_calls_run_elsewhere_with_one_thread_unless_more_are_asked_for(
        self, executor: Executor
    ) -> None:
        with executor:
            process, threads = executor.submit(calls.describe_process).result()
        assert process != os.getpid() and threads == 1

    def test_a_call_whose_worker_was_killed_is_done_again_and_no_other(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with executor:
            futures = [executor.submit(calls.count_call, tmp_path, number) for number in range(3)]
            killed = executor.submit(calls.die, tmp_path, 1)
            assert [future.result() for future in futures] == [0, 1, 2]
            assert killed.result() == "alive"
        assert len(list(tmp_path.glob("call-*"))) == 3

    def test_a_call_whose_worker_died_twice_has_failed_and_others_go_on(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with executor:
            first, second = (
                executor.submit(calls.die, tmp_path, 9),
                executor.submit(calls.square, 3),
            )
            with pytest.raises(CellDied, match="died 2 times"):
                first.result()
            assert second.result() == 9
        assert len(list(tmp_path.glob("death-*"))) == 2

    def test_an_exception_that_cannot_be_handed_over_is_told_in_words(
        self, executor: Executor
    ) -> None:
        with executor, pytest.raises(TellapartError, match="Awkward: awkward 1 2"):
            executor.submit(calls.be_awkward).result()

    def test_a_stop_reaches_the_workers_and_what_waits(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with executor:
            futures = [executor.submit(calls.wait_for_stop, tmp_path, n) for n in range(4)]
            calls.wait_for(tmp_path, 0, 1)
            ask_stop(signal.SIGUSR1)
            for future in futures:
                assert isinstance(future.exception(timeout=60), Interrupted)

    def test_an_exception_in_the_block_ends_the_calls(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with pytest.raises(ZeroDivisionError), executor:
            futures = [executor.submit(calls.wait_for_stop, tmp_path, n) for n in range(4)]
            calls.wait_for(tmp_path, 0, 1)
            raise ZeroDivisionError
        assert all(
            future.cancelled() or isinstance(future.exception(), Interrupted) for future in futures
        )

    def test_a_second_signal_does_not_wait_for_the_workers(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        with pytest.raises(KeyboardInterrupt), executor:
            future = executor.submit(calls.never_stop, tmp_path)
            calls.wait_for(tmp_path, 0)
            ask_stop(signal.SIGINT)
            raise KeyboardInterrupt
        assert isinstance(future.exception(), Interrupted)


class TestInline(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return InlineExecutor()

    def test_a_signal_is_not_kept_in_a_future(self, executor: Executor) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            executor.submit(stop)


class TestLocal(WorkersContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return LocalExecutor(2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of this machine alone, with two cores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    patch.setenv("PYTHONWARNINGS", "")  # Ray's own processes are not tested here
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ray:
        try:
            wait_for_port(port)
            yield
        finally:
            ray.terminate()
    patch.undo()


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 120
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, "Ray did not start"
        time.sleep(0.2)


@RAY
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # Ray's own
class TestRay(WorkersContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return EXECUTORS["ray"](2, "cpu")

    def test_it_has_as_many_workers_as_the_cluster_has_cores(self, executor: Executor) -> None:
        with executor:
            assert executor.workers == 2

    def test_what_no_machine_has_is_refused(self, executor: Executor) -> None:
        with executor, pytest.raises(SettingError, match=r"needs 3 CPU, but the largest .* has 2"):
            executor.submit(calls.square, 1, resources=Resources(cores=3))

    def test_more_memory_than_a_machine_has_waits_for_the_largest(self, executor: Executor) -> None:
        with executor:
            assert (
                executor.submit(calls.square, 2, resources=Resources(memory=1 << 60)).result() == 4
            )


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_command_that_installs_it_is_said() -> None:
    with pytest.raises(SettingError, match=r"pip install 'tellapart\[ray\]'"):
        EXECUTORS["ray"](2, "cpu")
