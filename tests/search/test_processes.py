"""Work in other processes: the same results, and what happens when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tellapart.search.executor import InlineExecutor
from tellapart.search.processes import Gate, ProcessExecutor

from tellapart.errors import CellDied, Interrupted, NotFinite, TellapartError
from tellapart.search import processes
from tellapart.stop import ask_stop, check_stop, clear_stop

ROOT = Path(__file__).resolve().parents[2]


class Awkward(Exception):
    """Pickles, but cannot be read again: its arguments are not those that it was made with."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"awkward {first} {second}")


@dataclass(frozen=True)
class Work:
    """Does what a number says; some kinds of trouble need a folder to remember in."""

    folder: Path

    def __call__(self, number: int) -> tuple[int, int, int]:
        import torch

        if number == 13:
            raise NotFinite("thirteen")
        if number == 14 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 15:
            os._exit(7)
        if number == 16:
            raise Awkward(1, 2)
        if number == 17 and not (self.folder / "stopped").exists():
            (self.folder / "stopped").touch()
            os.kill(os.getpid(), signal.SIGTERM)  # not the parent's
            time.sleep(0.2)
            check_stop()
        if number == 99:
            (self.folder / f"began-{number}").write_text(str(os.getpid()))
            time.sleep(600)  # never looks whether it should stop
        if number >= 100:
            (self.folder / f"began-{number}").write_text(str(os.getpid()))
            while True:
                time.sleep(0.01)
                check_stop()
        return number * number, os.getpid(), torch.get_num_threads()


@pytest.fixture(autouse=True)
def forget_stops() -> Iterator[None]:
    yield
    clear_stop()


def test_results_are_those_of_this_process_in_the_order_of_the_work(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with ProcessExecutor(2) as executor:
        futures = [executor.submit(work, number) for number in range(6)]
        executor.wait_idle()
        assert all(future.done() for future in futures)
        found = [future.result() for future in futures]
    inline = InlineExecutor()
    expected = [inline.submit(work, number).result()[0] for number in range(6)]
    assert [square for square, _, _ in found] == expected
    assert os.getpid() not in {process for _, process, _ in found}
    assert len({process for _, process, _ in found}) <= 2
    assert {threads for _, _, threads in found} == {1}


def name_missing(name: str) -> bool:
    return sys.modules[name] is None


def test_a_process_keeps_triton_from_being_loaded() -> None:
    with ProcessExecutor(1) as executor:
        assert executor.submit(name_missing, "triton").result()


def read_environment(name: str) -> tuple[str, int]:
    import torch

    time.sleep(0.3)  # so that each process gets some
    return os.environ[name], torch.get_num_threads()


def test_each_process_has_its_own_variables_and_threads() -> None:
    own = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("3", "5")]
    with ProcessExecutor(2, threads=2, environments=own) as executor:
        found = [executor.submit(read_environment, "CUDA_VISIBLE_DEVICES") for _ in range(6)]
        assert {future.result() for future in found} == {("3", 2), ("5", 2)}


def test_an_exception_arrives_and_the_process_goes_on(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with ProcessExecutor(1) as executor:
        futures = [executor.submit(work, number) for number in (1, 13, 2)]
        assert futures[0].result()[0] == 1
        with pytest.raises(NotFinite, match="thirteen"):
            futures[1].result()
        assert futures[2].result()[1] == futures[0].result()[1]


def test_work_whose_process_was_killed_is_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with ProcessExecutor(2) as executor:
        futures = [executor.submit(work, number) for number in (1, 14, 2, 3)]
        assert [future.result()[0] for future in futures] == [1, 196, 4, 9]
    assert (tmp_path / "died").exists()


def test_work_that_dies_twice_is_failed_and_the_rest_goes_on(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with ProcessExecutor(1) as executor:
        futures = [executor.submit(work, number) for number in (15, 2)]
        with pytest.raises(CellDied, match=r"died 2 times \(exit codes 7, 7"):
            futures[0].result()
        assert futures[1].result()[0] == 4


def test_an_exception_that_cannot_be_handed_over_is_told_in_words(tmp_path: Path) -> None:
    with ProcessExecutor(1) as executor:
        with pytest.raises(TellapartError, match=r"Awkward.*awkward 1 2"):
            executor.submit(Work(tmp_path), 16).result()
        assert executor.submit(Work(tmp_path), 3).result()[0] == 9


def test_work_that_somebody_else_stopped_is_done_again(tmp_path: Path) -> None:
    with ProcessExecutor(1) as executor:
        assert executor.submit(Work(tmp_path), 17).result()[0] == 289
    assert (tmp_path / "stopped").exists()


def test_a_second_signal_does_not_wait_for_the_processes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ProcessExecutor(1) as executor:
        future = executor.submit(Work(tmp_path), 99)
        (process,) = wait_for([tmp_path / "began-99"])
        ask_stop(signal.SIGINT)
        raise KeyboardInterrupt
    assert isinstance(future.exception(), Interrupted)
    assert not psutil.pid_exists(process)


def test_a_module_in_the_working_folder_is_found_and_hides_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('hidden')")
    monkeypatch.chdir(tmp_path)
    with ProcessExecutor(1) as executor:
        assert executor.submit(Work(tmp_path), 4).result()[0] == 16


def wait_for(paths: list[Path]) -> list[int]:
    end = time.monotonic() + 60
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < end
        time.sleep(0.02)
    return [int(path.read_text()) for path in paths]


def test_a_stop_reaches_the_processes_and_what_waits(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with ProcessExecutor(2) as executor:
        futures = [executor.submit(work, number) for number in (100, 101, 5)]
        workers = wait_for([tmp_path / "began-100", tmp_path / "began-101"])
        ask_stop(signal.SIGUSR1)
        for future in futures:
            with pytest.raises(Interrupted, match="stopped by SIGUSR1"):
                future.result(timeout=30)
    assert not any(psutil.pid_exists(process) for process in workers)


def test_an_exception_in_the_block_ends_the_work(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with pytest.raises(KeyboardInterrupt), ProcessExecutor(1) as executor:
        first, second = executor.submit(work, 100), executor.submit(work, 101)
        (process,) = wait_for([tmp_path / "began-100"])
        raise KeyboardInterrupt
    assert isinstance(first.exception(), Interrupted)
    assert second.cancelled()
    assert not psutil.pid_exists(process)


ORPHANS = """
import sys
from pathlib import Path
from tests.search.test_processes import Work
from tellapart.search.processes import ProcessExecutor

with ProcessExecutor(2) as executor:
    for number in (100, 101):
        executor.submit(Work(Path(sys.argv[1])), number)
    input()
"""


def test_a_process_without_work_ends_and_the_next_work_has_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "IDLE", 0.1)
    work = Work(tmp_path)
    with ProcessExecutor(1) as executor:
        first = executor.submit(work, 1).result()[1]
        end = time.monotonic() + 30
        while psutil.pid_exists(first):
            assert time.monotonic() < end, "an idle process stayed"
            time.sleep(0.05)
        assert executor.submit(work, 2).result()[1] != first


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdin=subprocess.PIPE, env=environment
    )
    workers = wait_for([tmp_path / "began-100", tmp_path / "began-101"])
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 10
    while any(psutil.pid_exists(process) for process in workers):
        assert time.monotonic() < end, "a process outlived its parent"
        time.sleep(0.05)


def test_no_more_goes_through_the_gate_than_fits() -> None:
    gate = Gate(room=10)
    with gate.hold(6), gate.hold(4):
        ask_stop()
        with pytest.raises(Interrupted), gate.hold(1):
            pass
    clear_stop()
    with gate.hold(50):
        pass
    with gate.hold(10):
        pass
