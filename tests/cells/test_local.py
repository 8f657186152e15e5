"""Workers on this machine: what they are given, when they end, and what they leave to be read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tellapart.cells import LARGE, MODEST, SHARE, VISIBLE, list_gpus, local, measure_room
from tellapart.cells.executor import Resources
from tellapart.cells.local import Gate, LocalExecutor
from tellapart.errors import Interrupted
from tellapart.stop import ask_stop, clear_stop

from . import calls

ROOT = Path(__file__).resolve().parents[2]


def test_each_worker_has_its_own_variables_and_threads() -> None:
    own = [{VISIBLE: gpu} for gpu in ("3", "5")]
    with LocalExecutor(2, threads=2, environments=own) as executor:
        futures = [executor.submit(calls.read_environment, VISIBLE) for _ in range(6)]
        assert {future.result() for future in futures} == {("3", 2), ("5", 2)}


def test_a_worker_keeps_triton_from_being_loaded() -> None:
    with LocalExecutor(1) as executor:
        assert executor.submit(calls.name_module, "triton").result()


def test_what_is_printed_in_a_worker_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with LocalExecutor(1) as executor:
        executor.submit(calls.print_aloud).result()
    captured = capfd.readouterr()
    assert captured.out == "" and "a library says something" in captured.err


def test_a_call_that_somebody_else_stopped_is_done_again(tmp_path: Path) -> None:
    with LocalExecutor(1) as executor:
        assert executor.submit(calls.stop_oneself, tmp_path).result() == "done"


def test_a_call_that_was_cancelled_is_not_made(tmp_path: Path) -> None:
    with LocalExecutor(1) as executor:
        executor.submit(calls.square, 3)
        future = executor.submit(calls.count_call, tmp_path, 1)
        assert future.cancel()
    assert not list(tmp_path.iterdir())


def test_a_worker_without_calls_ends_and_the_next_call_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "IDLE", 0.1)
    with LocalExecutor(1) as executor:
        first = executor.submit(os.getpid).result()
        end = time.monotonic() + 60
        while psutil.pid_exists(first):
            assert time.monotonic() < end, "an idle worker stayed"
            time.sleep(0.05)
        assert executor.submit(os.getpid).result() != first


def test_calls_that_do_not_fit_the_memory_together_wait(tmp_path: Path) -> None:
    """Each is alone, or one would wait for the stop of the other in vain."""
    with LocalExecutor(2, memory=10) as executor:
        first = executor.submit(calls.wait_for_stop, tmp_path, 0, resources=Resources(memory=6))
        calls.wait_for(tmp_path, 0)
        second = executor.submit(calls.wait_for_stop, tmp_path, 1, resources=Resources(memory=6))
        time.sleep(0.5)
        ask_stop()
        assert isinstance(first.exception(), Interrupted)
        assert isinstance(second.exception(), Interrupted)
    clear_stop()
    assert not (tmp_path / "began-1").exists()


def test_no_more_goes_through_the_gate_than_fits() -> None:
    gate = Gate(10)
    with gate.hold(6), gate.hold(4):
        ask_stop()
        with pytest.raises(Interrupted), gate.hold(1):
            pass
    clear_stop()
    with gate.hold(50):
        pass
    with gate.hold(10):
        pass


ORPHANS = """
import sys
from pathlib import Path
from tellapart.cells.local import LocalExecutor
from tests.cells.calls import wait_for_stop

with LocalExecutor(2) as executor:
    for number in (0, 1):
        executor.submit(wait_for_stop, Path(sys.argv[1]), number)
    input()
"""


def start_script(text: str, folder: Path) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        text=True,
    )


def test_workers_end_by_themselves_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = start_script(ORPHANS, tmp_path)
    calls.wait_for(tmp_path, 0, 1)
    parent.kill()
    # the pipes end when no process holds them any more
    assert parent.communicate(timeout=60) == ("", "")


GUARDLESS = """
from tellapart.cells.local import LocalExecutor

class Own(Exception):
    pass

def double(number):
    if number == 3:
        raise Own("three")
    return 2 * number

with LocalExecutor(2) as executor:
    futures = [executor.submit(double, number) for number in range(4)]
    print([future.result() for future in futures[:3]], futures[3].exception())
"""


def test_a_script_needs_no_main_guard_and_nothing_is_said_at_its_end(tmp_path: Path) -> None:
    out, err = start_script(GUARDLESS, tmp_path).communicate()
    assert (out, err) == ("[0, 2, 4] Own: three\n", "")


def test_a_module_in_the_working_folder_hides_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('hidden')")
    monkeypatch.chdir(tmp_path)
    with LocalExecutor(1) as executor:
        assert executor.submit(calls.square, 4).result() == 16


def test_the_memory_for_workers_is_modest_where_there_is_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for free, room in (
        (1e9, SHARE * 1e9),
        (8e9, MODEST),
        (20e9, MODEST),
        (200e9, LARGE * 200e9),
    ):
        monkeypatch.setattr("tellapart.cells.measure_free_memory", lambda free=free: free)
        assert measure_room() == pytest.approx(room)


def test_gpus_have_the_names_that_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv(VISIBLE, raising=False)
    assert list_gpus() == ["0", "1", "2"]
    monkeypatch.setenv(VISIBLE, "4, GPU-7a,1")
    assert list_gpus() == ["4", "GPU-7a", "1"]
