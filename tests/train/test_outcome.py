from __future__ import annotations

import builtins
import errno
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import NotFinite, WorkspaceError
from tellapart.records import EpochRow
from tellapart.train.checkpoint import list_checkpoints, read_failure
from tellapart.train.learner import Task
from tellapart.train.loop import train_model
from tellapart.train.optim import schedule_rate
from tellapart.workspace import STATUS, read_json

from .runs import EPOCH_STEPS, MODEL, RECIPE, ROWS, TASK, read_end

BAD = {"lr": 1e30, "schedule": "constant", "optimizer": "sgd"}


@pytest.mark.parametrize(
    "batch_size", [16, 200], ids=["the loss of an epoch", "the step after the last loss"]
)
@pytest.mark.parametrize("every", [0.0, 30.0])
def test_a_training_that_is_not_finite_stops_and_says_so(
    batch_size: int, every: float, digits: Dataset, tmp_path: Path
) -> None:
    model = MODEL.model_copy(update={"norm": False})
    recipe = TrainSettings.model_validate(
        RECIPE.model_dump() | BAD | {"epochs": 1, "batch_size": batch_size}
    )
    said = r"epoch 1 is not finite; use a learning rate below 1e\+30"
    with pytest.raises(NotFinite, match=said) as got:
        train_model(
            digits, ROWS, Task(model, recipe, "cpu", every=every, precision="float32"), tmp_path
        )
    assert got.value.exit_code == 1
    assert read_json(tmp_path / STATUS)["status"] == "failed: not finite"
    again = read_failure(tmp_path)
    assert (str(again), again and again.seconds) == (str(got.value), 0.0)
    assert not (tmp_path / "record.json").exists()
    assert not (tmp_path / "weights").exists()
    for path in list_checkpoints(tmp_path):
        assert all(np.isfinite(tensor).all() for tensor in load_file(path).values())


def test_the_last_good_weights_are_kept(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(recipe: TrainSettings, step: int, steps: int) -> float:
        return math.inf if step == EPOCH_STEPS + 1 else schedule_rate(recipe, step, steps)

    plain = {"optimizer": "sgd", "schedule": "constant"}
    recipe = TrainSettings.model_validate(RECIPE.model_dump() | plain)
    task = Task(
        MODEL.model_copy(update={"norm": False}), recipe, "cpu", every=0.0, precision="float32"
    )
    rows: list[EpochRow] = []
    monkeypatch.setattr("tellapart.train.loop.schedule_rate", explode)
    with pytest.raises(NotFinite, match="epoch 2 is not finite") as got:
        train_model(digits, ROWS, task, tmp_path / "bad", rows.append)
    monkeypatch.undo()
    one = replace(task, recipe=recipe.model_copy(update={"epochs": 1}))
    assert len(rows) == 1
    again = read_failure(tmp_path / "bad")
    assert again is not None
    assert again.seconds == got.value.seconds == rows[0].seconds > 0
    best = load_file(tmp_path / "bad" / "weights" / "best.safetensors")
    assert (tmp_path / "bad" / "history.csv").read_text().count("\n") == 2
    assert list_checkpoints(tmp_path / "bad")[0].name[:15] == f"000001-{1:08d}"
    assert not (tmp_path / "bad" / "weights" / "last.safetensors").exists()
    train_model(digits, ROWS, one, tmp_path / "bad")  # with other settings the folder serves again
    assert read_failure(tmp_path / "bad") is None
    first = load_file(tmp_path / "bad" / "weights" / "best.safetensors")
    assert {name: tensor.tobytes() for name, tensor in best.items()} == {
        name: tensor.tobytes() for name, tensor in first.items()
    }


class HalfStream:
    """Writes half of what it is given to a file, and then there is no room."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> HalfStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        opened = fill_disk(patch, 10**9)
        train_model(digits, ROWS, TASK, tmp_path / "whole")
    end, writes = read_end(tmp_path / "whole"), len(opened)
    assert writes == 1 + RECIPE.epochs * EPOCH_STEPS + 5
    for after in range(0, writes, 1 if where == "replace" else 3):
        folder = tmp_path / str(after)
        with monkeypatch.context() as patch:
            fill_disk(patch, after, where)
            with pytest.raises(WorkspaceError, match="No space left on device") as got:
                train_model(digits, ROWS, TASK, folder)
        assert got.value.exit_code == 2
        assert not list(folder.glob("**/.*.tmp"))
        assert len(list_checkpoints(folder)) == min(2, max(0, min(after - 1, 12)))
        train_model(digits, ROWS, TASK, folder)
        assert read_end(folder) == end, after
