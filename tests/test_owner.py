from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tellapart import owner
from tellapart.errors import WorkspaceError
from tellapart.owner import describe_process, own_folder, read_start

HOLD = """
import sys, time
from pathlib import Path
from tellapart.owner import own_folder

with own_folder(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""
RACE = """
import sys, time
from pathlib import Path
from tellapart.errors import WorkspaceError
from tellapart.owner import own_folder

folder, gate, name = map(Path, sys.argv[1:])
print("ready", flush=True)
while not gate.exists():
    pass
try:
    with own_folder(folder):
        print("mine", flush=True)
        time.sleep(3)
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


def write_owner(folder: Path, age: float = 0.0, **other: Any) -> Path:
    mark = folder / "owner-1.json"
    mark.write_text(json.dumps(describe_process() | other))
    then = time.time() - age
    os.utime(mark, (then, then))
    return mark


def list_marks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_owned_and_given_back(tmp_path: Path) -> None:
    with own_folder(tmp_path / "new"):
        found = json.loads((tmp_path / "new" / "owner-1.json").read_text())
        assert found == describe_process()
    assert list_marks(tmp_path / "new") == []
    with pytest.raises(ZeroDivisionError), own_folder(tmp_path):
        raise ZeroDivisionError
    assert list_marks(tmp_path) == ["new"]


def test_the_second_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with start_holder(tmp_path) as process:
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        said = rf"belongs to process {process.pid} on .*, which is at work there"
        with pytest.raises(WorkspaceError, match=said), own_folder(tmp_path):
            raise AssertionError("two owners")
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert process.poll() is None
        process.kill()


def test_a_killed_owner_is_followed(tmp_path: Path) -> None:
    with start_holder(tmp_path) as process:
        process.kill()
        while read_start(process.pid) is not None:  # dead, though nobody has waited for it yet
            time.sleep(0.01)
        with own_folder(tmp_path):
            assert list_marks(tmp_path) == ["owner-2.json"]
    assert list_marks(tmp_path) == []


def test_a_process_id_given_again_is_not_the_owner(tmp_path: Path) -> None:
    write_owner(tmp_path, started="1")
    with own_folder(tmp_path):
        assert list_marks(tmp_path) == ["owner-2.json"]


@pytest.mark.parametrize(
    "other", [{"host": "elsewhere"}, {"boot": "another"}, {"ids": "pid:[1]"}, {}]
)
def test_an_owner_that_cannot_be_seen_is_judged_by_its_last_sign(
    other: dict[str, Any], tmp_path: Path
) -> None:
    mark = write_owner(tmp_path, age=owner.SILENCE - 30, **other)
    if not other:
        mark.write_text("{")  # half of a file
        os.utime(mark, (time.time() - owner.SILENCE + 30,) * 2)
    with pytest.raises(WorkspaceError, match=r"belongs to (a )?process"), own_folder(tmp_path):
        raise AssertionError("two owners")
    os.utime(mark, (time.time() - owner.SILENCE - 1,) * 2)
    with own_folder(tmp_path):
        assert list_marks(tmp_path) == ["owner-2.json"]


def test_an_owner_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "BEAT", 0.02)
    with own_folder(tmp_path):
        mark = tmp_path / "owner-1.json"
        os.utime(mark, (0, 0))
        end = time.monotonic() + 10
        while mark.stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert mark.stat().st_mtime > 0


@pytest.mark.parametrize("dead", [False, True])
def test_of_processes_that_start_together_one_gets_the_folder(dead: bool, tmp_path: Path) -> None:
    folder, gate = tmp_path / "run", tmp_path / "gate"
    folder.mkdir()
    if dead:
        write_owner(folder, started="1")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder), str(gate), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    answers = [process.communicate(timeout=60)[0] for process in processes]  # closes all
    assert sorted(answers) == ["mine\n", *["refused\n"] * 5]
    assert list_marks(folder) == []


@pytest.mark.parametrize("change", [{"process": "x"}, {"process": -1}, {"started": None}, None])
def test_an_owner_file_of_another_shape_is_judged_by_its_age(
    change: dict[str, Any] | None, tmp_path: Path
) -> None:
    content = [1] if change is None else describe_process() | change
    (tmp_path / "owner-1.json").write_text(json.dumps(content))
    if change != {"started": None}:  # which says that the process runs no more
        with pytest.raises(WorkspaceError, match="at work there"), own_folder(tmp_path):
            pass
        os.utime(tmp_path / "owner-1.json", (time.time() - owner.SILENCE - 30,) * 2)
    with own_folder(tmp_path):
        assert [mark.name for mark in tmp_path.glob("owner-*")] == ["owner-2.json"]


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
    with own_folder(tmp_path):
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
    with own_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["owner-1.json"]
