from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart import lock
from tellapart.errors import Interrupted, WorkspaceError
from tellapart.lock import LOCK, lock_folder
from tellapart.stop import ask_stop, clear_stop, is_stop_asked

HOLD = """
import sys, time
from pathlib import Path
from tellapart.lock import lock_folder

with lock_folder(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""
RACE = """
import sys, time
from pathlib import Path
from tellapart.errors import WorkspaceError
from tellapart.lock import lock_folder

folder, gate, name = map(Path, sys.argv[1:])
print("ready", flush=True)
while not gate.exists():
    pass
try:
    with lock_folder(folder):
        print("mine", flush=True)
        sys.stdin.read()
except WorkspaceError:
    print("refused", flush=True)
"""


def start_holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def leave_mark(folder: Path, field: str = "", value: str = "", age: float = 0.0) -> Path:
    """Leave the lock of a process that could not remove it, with one of its fields altered."""
    with lock_folder(folder):
        text = (folder / LOCK).read_text()
    text = re.sub(rf"(?m)^{field}=.*$", f"{field}={value}", text)
    mark = folder / LOCK
    mark.write_text(text)
    then = time.time() - age
    os.utime(mark, (then, then))
    return mark


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_locked_and_given_back(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "new"):
        assert f"pid={os.getpid()}\n" in (tmp_path / "new" / LOCK).read_text()
    assert list_names(tmp_path / "new") == []
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path):
        raise ZeroDivisionError
    assert list_names(tmp_path) == ["new"]


def test_the_second_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with start_holder(tmp_path) as process:
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        said = rf"belongs to process {process.pid} on .*, which is at work there"
        with pytest.raises(WorkspaceError, match=said), lock_folder(tmp_path):
            raise AssertionError("two in one folder")
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert process.poll() is None
        process.kill()


def test_a_halted_process_keeps_its_folder(tmp_path: Path) -> None:
    with start_holder(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        os.utime(tmp_path / LOCK, (0, 0))
        with pytest.raises(WorkspaceError, match="at work there"), lock_folder(tmp_path):
            raise AssertionError("two in one folder")
        process.kill()


def test_a_killed_process_is_followed(tmp_path: Path) -> None:
    with start_holder(tmp_path) as process:
        process.kill()
        process.wait()
        with lock_folder(tmp_path):
            assert list_names(tmp_path) == [LOCK]
    assert list_names(tmp_path) == []


def test_a_process_id_given_again_is_not_the_holder(tmp_path: Path) -> None:
    leave_mark(tmp_path, "start", "1")
    with lock_folder(tmp_path):
        assert f"pid={os.getpid()}\n" in (tmp_path / LOCK).read_text()


@pytest.mark.parametrize("torn", [False, True])
def test_a_process_that_cannot_be_seen_is_judged_by_its_signs_of_life(
    torn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SILENCE", 0.6)
    monkeypatch.setattr(lock, "BEAT", 0.2)
    mark = leave_mark(tmp_path, "host", "elsewhere")
    if torn:
        mark.write_text("filelo")  # half of a file
    with pytest.raises(WorkspaceError, match=r"if it died.*remove"), lock_folder(tmp_path):
        raise AssertionError("two in one folder")
    monkeypatch.setattr(lock, "SILENCE", 3.0 if torn else 0.6)
    os.utime(mark, (0, 0))
    with lock_folder(tmp_path):
        assert f"pid={os.getpid()}\n" in mark.read_text()


def test_signs_of_life_of_a_machine_with_another_clock_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SILENCE", 0.6)
    monkeypatch.setattr(lock, "BEAT", 0.2)
    mark = leave_mark(tmp_path, "host", "elsewhere")
    over = threading.Event()

    def beat() -> None:
        now = 0
        while not over.wait(0.05):
            os.utime(mark, (now := now + 1, now))

    os.utime(mark, (0, 0))
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(WorkspaceError, match="on elsewhere, which is"), lock_folder(tmp_path):
            raise AssertionError("two in one folder")
    finally:
        over.set()
        thread.join()


def test_a_stop_ends_the_wait_for_one_that_died(tmp_path: Path) -> None:
    leave_mark(tmp_path, "host", "elsewhere", age=1000)
    ask_stop()
    try:
        with pytest.raises(Interrupted), lock_folder(tmp_path):
            raise AssertionError("worked though stopped")
    finally:
        clear_stop()


def test_who_loses_the_folder_is_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.02)
    try:
        with lock_folder(tmp_path):
            mark = tmp_path / LOCK
            os.utime(mark, (0, 0))
            wait_until(lambda: mark.stat().st_mtime > 0)  # a sign of life
            mark.unlink()
            wait_until(is_stop_asked)
    finally:
        clear_stop()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions on Windows")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(WorkspaceError, match="could not be written"),
        lock_folder(tmp_path / "file"),
    ):
        pass


@pytest.mark.parametrize("dead", [False, True])
def test_of_processes_that_start_together_one_gets_the_folder(dead: bool, tmp_path: Path) -> None:
    folder, gate = tmp_path / "run", tmp_path / "gate"
    folder.mkdir()
    if dead:
        leave_mark(folder, "start", "1")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder), str(gate), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    answers = [process.stdout.readline() for process in processes if process.stdout]
    for process in processes:
        process.communicate(timeout=60)  # the end of its input, and its own
    assert sorted(answers) == ["mine\n", *["refused\n"] * 5]
    assert list_names(folder) == []


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    below = tmp_path / "baseline" / "cell"
    below.mkdir(parents=True)
    ours = [
        tmp_path / f".plan.json.{gone.pid}.0123abcd.tmp",
        below / f".history.csv.{os.getpid()}.0123abcd.tmp",  # an earlier process of our number
    ]
    others = [
        below / f".best.safetensors.{os.getppid()}.0123abcd.tmp",  # which is at work
        tmp_path / ".notes.tmp",
        tmp_path / f".plan.json.{gone.pid}.tmp",
        tmp_path / f"plan.json.{gone.pid}.0123abcd.tmp",
    ]
    for path in (*ours, *others):
        path.write_bytes(b"half")
    with lock_folder(tmp_path):
        assert [path.exists() for path in ours] == [False, False]
    assert all(path.exists() for path in others)


def test_a_kill_in_the_middle_of_a_write_leaves_nothing_to_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tellapart.workspace import write_text\n"
        "os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "write_text(Path(sys.argv[1]) / 'plan.json', '{}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.glob(".plan.json.*.tmp"))) == 1
    with lock_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_lock_that_a_kill_left_empty_is_taken(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    os.utime(tmp_path / LOCK, (0, 0))
    with lock_folder(tmp_path):
        assert (tmp_path / LOCK).stat().st_size
