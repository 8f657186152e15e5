"""A training that was stopped ends as one that was not, wherever the stop came."""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import Interrupted, WorkspaceError
from tellapart.stop import clear_stop
from tellapart.train.learner import Task
from tellapart.train.loop import train_model
from tellapart.train.progress import SHARE, Pulse
from tellapart.train.resume import list_checkpoints

from .runs import AVERAGED, EPOCH_STEPS, MUON, RECIPE, ROWS, SGD, SPEED, TASK, count_reads, read_end

ONCE = replace(TASK, every=1e9)  # a checkpoint where a stop is asked for, and nowhere else
READS = RECIPE.epochs * (EPOCH_STEPS + 1)  # each epoch reads its batches, then the watched rows
TASKS = {
    "adam": ONCE,
    "sgd": replace(ONCE, recipe=TrainSettings.model_validate(RECIPE.model_dump() | SGD)),
    "muon": replace(ONCE, model=SPEED, recipe=RECIPE.model_copy(update=MUON)),
    "averaged": replace(ONCE, recipe=RECIPE.model_copy(update=AVERAGED)),
}
FIRST = {"adam": 0, "sgd": 0, "muon": 1, "averaged": 0}
"""Reads before the first epoch: speednet looks at images before it is trained."""


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    yield
    clear_stop()


@pytest.fixture(scope="module")
def ends(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What uninterrupted trainings come to."""
    found = {}
    for name, task in TASKS.items():
        folder = tmp_path_factory.mktemp(name)
        train_model(digits, ROWS, task, folder)
        found[name] = read_end(folder)
    assert found["adam"] != found["sgd"]
    return found


def stop_at(digits: Dataset, read: int, task: Task, folder: Path) -> None:
    counted, _ = count_reads(digits, read)
    with pytest.raises(Interrupted, match="the same command goes on"):
        train_model(counted, ROWS, task, folder)
    clear_stop()


@pytest.mark.parametrize("read", range(1, READS))
@pytest.mark.parametrize("name", TASKS)
def test_a_stop_at_any_step_changes_nothing(
    name: str, read: int, digits: Dataset, ends: dict[str, Any], tmp_path: Path
) -> None:
    task = TASKS[name]
    stop_at(digits, read + FIRST[name], task, tmp_path)
    assert len(list_checkpoints(tmp_path)) == 1
    assert not (tmp_path / "record.json").exists()
    counted, source = count_reads(digits)
    train_model(counted, ROWS, task, tmp_path)
    late = read % (EPOCH_STEPS + 1) == 0  # asked for in an evaluation, heard after the next step
    assert source.reads == FIRST[name] + READS - read - late, "a step was done twice"
    assert read_end(tmp_path) == ends[name]
    assert not (tmp_path / "resume").exists()


def test_many_stops_change_nothing(digits: Dataset, ends: dict[str, Any], tmp_path: Path) -> None:
    starts = 0
    while not (tmp_path / "record.json").exists():
        counted, _ = count_reads(digits, 2)
        try:
            train_model(counted, ROWS, ONCE, tmp_path)
        except Interrupted:
            starts += 1
        clear_stop()
    assert starts > READS // 3
    assert read_end(tmp_path) == ends["adam"]


def test_a_stop_in_the_last_evaluation_comes_too_late(
    digits: Dataset, ends: dict[str, Any], tmp_path: Path
) -> None:
    counted, _ = count_reads(digits, READS)
    train_model(counted, ROWS, ONCE, tmp_path)
    assert read_end(tmp_path) == ends["adam"]


def test_checkpoints_at_each_step_change_nothing(
    digits: Dataset, ends: dict[str, Any], tmp_path: Path
) -> None:
    train_model(digits, ROWS, TASK, tmp_path)
    assert read_end(tmp_path) == ends["adam"]


def test_other_settings_start_anew(digits: Dataset, ends: dict[str, Any], tmp_path: Path) -> None:
    stop_at(digits, 12, TASKS["sgd"], tmp_path)
    train_model(digits, ROWS, ONCE, tmp_path)
    assert read_end(tmp_path) == ends["adam"]


def test_a_damaged_checkpoint_is_passed_over(
    digits: Dataset, ends: dict[str, Any], tmp_path: Path
) -> None:
    stop_at(digits, 8, TASK, tmp_path)
    newest, before = list_checkpoints(tmp_path)
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x7f")
    counted, source = count_reads(digits)
    train_model(counted, ROWS, TASK, tmp_path)
    assert source.reads == READS - 7
    assert read_end(tmp_path) == ends["adam"]
    assert not before.exists()


class HalfStream:
    """Writes half of what it is given to a file, and then there is no room."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> HalfStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        self._stream.write(content[: len(content) // 2])
        refuse()


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk(patch: pytest.MonkeyPatch, after: int, where: str = "open") -> list[str]:
    """Let so many files be written, and of the next no more than up to ``where``.

    Returns the list of the names that were opened for writing.
    """
    opened: list[str] = []
    real = builtins.open

    def count(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "w" not in mode and "x" not in mode:
            return real(file, mode, *rest, **named)
        opened.append(Path(file).name)
        full = len(opened) > after
        if full and where == "open":
            refuse()
        stream = real(file, mode, *rest, **named)
        if full and where in ("fsync", "replace"):
            patch.setattr(os, where, refuse)
        return HalfStream(stream) if full and where == "write" else stream

    patch.setattr("tellapart.workspace.open", count, raising=False)
    return opened


@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace"])
def test_a_disk_that_fills_at_any_write_costs_no_result(
    where: str,
    digits: Dataset,
    ends: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        opened = fill_disk(patch, 10**9)
        train_model(digits, ROWS, TASK, tmp_path / "whole")
    writes = len(opened)
    assert writes > RECIPE.epochs * EPOCH_STEPS + 3
    for after in range(writes):
        folder = tmp_path / str(after)
        with monkeypatch.context() as patch:
            fill_disk(patch, after, where)
            with pytest.raises(WorkspaceError, match="No space left on device") as got:
                train_model(digits, ROWS, TASK, folder)
        assert got.value.exit_code == 2
        assert not list(folder.glob("**/.*.tmp"))
        assert len(list_checkpoints(folder)) == min(2, max(0, min(after - 1, 12)))
        train_model(digits, ROWS, TASK, folder)
        assert read_end(folder) == ends["adam"], after


def test_the_next_checkpoint_waits_longer_where_one_is_dear() -> None:
    pulse = Pulse(0.01)
    assert not pulse.is_due()
    pulse.rest(cost=1.0)
    assert pulse.wait == SHARE
    pulse.rest(cost=0.0)
    assert pulse.wait == 0.01
    always = Pulse(0.0)
    always.rest(cost=1.0)
    assert always.is_due()
