"""``tellapart train`` under ``torchrun``: rank 0 makes the study, the others help it to train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tellapart.cli import main

from ..train.together import end_ranks, start_ranks

# Adam: Muon's steps have one length in every direction, so that rounding grows faster there
TRAIN = (
    *("train", "digits", "--epochs", "2", "--augment", "light", "--device", "cpu"),
    *("--optimizer", "adam"),
)


def read_step(folder: Path) -> dict[str, Any]:
    step: dict[str, Any] = json.loads((folder / "results.json").read_text())["steps"]["baseline"]
    return step


def test_two_processes_leave_the_study_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # bfloat16 rounds sums that two processes add up in another order to other numbers
    monkeypatch.setenv("TELLAPART_PRECISION", "float32")
    command = ("-m", "tellapart", *TRAIN, "--out", str(tmp_path / "together"))
    processes = start_ranks(2, *command)
    assert main([*TRAIN, "--out", str(tmp_path / "alone")]) == 0
    first, second = end_ranks(processes)
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "report.html" in first[1]
    assert second[1:] == ("", "")

    alone, together = read_step(tmp_path / "alone"), read_step(tmp_path / "together")
    for name in ("model", "parameters", "val_accuracy", "test_accuracy"):
        assert together[name] == alone[name]
    for row, like in zip(together["run"]["history"], alone["run"]["history"], strict=True):
        assert row["accuracy"] == like["accuracy"]
        assert row["val_accuracy"] == like["val_accuracy"]
        for name in ("loss", "val_loss"):
            assert row[name] == pytest.approx(like[name], abs=1e-5)
    left = [{path.name for path in tmp_path.glob(f"{n}/**/*.*")} for n in ("alone", "together")]
    assert left[0] == left[1]


def test_other_commands_refuse_several_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert main(["inspect", "digits"]) == 2
    assert "torchrun is for tellapart train alone" in capsys.readouterr().err
