"""A training that was stopped ends as one that was not, wherever the stop came."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import Interrupted, WorkspaceError
from tellapart.stop import clear_stop
from tellapart.train.checkpoint import list_checkpoints, remove_checkpoints
from tellapart.train.learner import Task
from tellapart.train.loop import train_model
from tellapart.train.progress import (
    SHARE,
    TYPES,
    Pulse,
    read_checkpoint,
    write_checkpoint,
)

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


KEY = "a-training"


def make_tree(number: int) -> dict[str, Any]:
    return {
        "weights": {"conv": torch.full((2, 3), float(number))},
        "state": {"0": {"step": torch.tensor(float(number)), "seen": None}},
        "betas": [0.9, 0.999],
        "number": number,
    }


def write(folder: Path, number: int) -> Path:
    path = write_checkpoint(folder, (number // 10, number % 10), KEY, make_tree(number))
    assert path is not None
    return path


def read(folder: Path, key: str = KEY) -> int | None:
    tree = read_checkpoint(folder, key)
    if tree is None:
        return None
    number = int(tree["number"])
    assert torch.equal(tree["weights"]["conv"], make_tree(number)["weights"]["conv"])
    assert tree["state"]["0"]["step"] == number
    assert tree["betas"] == [0.9, 0.999]
    return number


def test_the_newest_is_read_and_the_last_two_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    for number in (9, 10, 11, 100):
        write(tmp_path, number)
        assert read(tmp_path) == number
    assert [path.name[:15] for path in list_checkpoints(tmp_path)] == [
        "000010-00000000",
        "000001-00000001",
    ]
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_checkpoints(tmp_path)


def test_a_checkpoint_is_a_safetensors_file(tmp_path: Path) -> None:
    tensors = load_file(write(tmp_path, 7))
    assert sorted(tensor.numel() for tensor in tensors.values()) == [1, 6]


def test_tensors_come_back_as_they_lay(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        str(kind): torch.arange(number % 3 * 5, dtype=torch.float32).to(kind).view(-1, 5)
        for number, kind in enumerate(TYPES)
    }
    tree["channels-last"] = torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last)
    tree["transposed"] = torch.rand(6, 4).t()
    tree["a number"] = torch.tensor(3.5)
    assert write_checkpoint(tmp_path, (0, 1), KEY, tree) is not None
    found = read_checkpoint(tmp_path, KEY)
    assert found is not None and found.keys() == tree.keys()
    for name, tensor in tree.items():
        assert torch.equal(found[name], tensor)
        assert (found[name].dtype, found[name].stride()) == (tensor.dtype, tensor.stride())


def flip_a_bit(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda content: content[:-1], lambda content: b""],
    ids=["a bit", "an end", "all"],
)
def test_a_damaged_newest_falls_back_to_the_one_before(damage: Any, tmp_path: Path) -> None:
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    newest.write_bytes(damage(newest.read_bytes()))
    assert read(tmp_path) == 1
    write(tmp_path, 2)  # the same step again, whole
    assert read(tmp_path) == 2
    assert len(list_checkpoints(tmp_path)) == 2


def test_two_damaged_ones_are_none(tmp_path: Path) -> None:
    for number in (1, 2):
        path = write(tmp_path, number)
        path.write_bytes(flip_a_bit(path.read_bytes()))
    assert read(tmp_path) is None


def test_a_checkpoint_of_another_training_is_none(tmp_path: Path) -> None:
    write(tmp_path, 50)
    assert read(tmp_path, "another") is None
    assert list_checkpoints(tmp_path) == []  # else it would pass for newer than what comes


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_written(bad: float, tmp_path: Path) -> None:
    write(tmp_path, 1)
    tree = make_tree(2)
    tree["weights"]["conv"][1, 2] = bad
    assert write_checkpoint(tmp_path, (0, 2), KEY, tree) is None
    assert read(tmp_path) == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WorkspaceError, match=r"No space left.*checkpoint before is kept"):
            write(tmp_path, 2)
    assert read(tmp_path) == 1


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each start is a fork")
@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_times_change_nothing(kills: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.train.killer", str(tmp_path), str(kills), "0"]
    own = os.environ | {"CUDA_VISIBLE_DEVICES": ""}  # what uses a GPU cannot fork
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{kills} kills")
