"""A sweep whose workers and whose driver are killed: complete afterwards, no cell twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tellapart.cells.cell import find_cell, run_cells
from tellapart.cells.executor import InlineExecutor
from tellapart.records import RunRecord

from .work import make_cell, make_context

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 12
SWEEP = """
import sys
from pathlib import Path
from tellapart.cells.cell import run_cells
from tellapart.cells.local import LocalExecutor
from tellapart.errors import Interrupted
from tellapart.stop import catch_signals
from tests.cells.work import make_cell, make_context

try:
    with catch_signals(), LocalExecutor(2) as executor:
        cells = [make_cell(seed, epochs=int(sys.argv[2])) for seed in range(6)]
        run_cells(make_context(Path(sys.argv[1])), cells, executor)
except Interrupted:
    sys.exit(3)
"""


def start(folder: Path, epochs: int = EPOCHS) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(folder), str(epochs)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        start_new_session=True,
    )


def list_records(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("conv/*/record.json")}


def wait_for_records(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    end = time.monotonic() + 300
    while len(list_records(folder)) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def kill_worker(process: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(process.pid).children()
    next(one for one in children if "popen_loky" in " ".join(one.cmdline())).kill()


@pytest.mark.slow
def test_a_sweep_is_complete_after_its_worker_its_driver_and_all_were_killed(
    tmp_path: Path,
) -> None:
    with start(tmp_path) as process:
        wait_for_records(process, tmp_path, 1)
        kill_worker(process)  # its cell is gone on with by another one
        wait_for_records(process, tmp_path, 2)
        process.kill()
    before = list_records(tmp_path)
    with start(tmp_path) as process:
        wait_for_records(process, tmp_path, len(before) + 1)
        os.killpg(process.pid, signal.SIGKILL)
    before |= list_records(tmp_path)
    with start(tmp_path) as process:
        assert process.wait(timeout=300) == 0
    after = list_records(tmp_path)
    assert len(after) == 6
    assert before.items() <= after.items(), "a finished cell was done again"
    assert not list(tmp_path.glob("conv/*/resume*"))
    cell = make_cell(3, epochs=EPOCHS)
    found = find_cell(make_context(tmp_path), cell)
    (alone,) = run_cells(make_context(tmp_path / "alone"), [cell], InlineExecutor())
    assert isinstance(alone, RunRecord)
    assert found is not None and found.weights == alone.weights


@pytest.mark.slow  # a signal to the command itself is in tests/test_cli.py
def test_a_signal_to_all_processes_saves_what_is_at_work(tmp_path: Path) -> None:
    """As a terminal sends it."""
    with start(tmp_path, 3 * EPOCHS) as process:
        wait_for_records(process, tmp_path, 1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 3
    begun = {path.name for path in tmp_path.glob("conv/*") if path.is_dir()}
    saved = {path.parent.name for path in tmp_path.glob("conv/*/resume")}
    assert begun - saved <= list_records(tmp_path).keys()
