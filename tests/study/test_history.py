"""The epochs of finished models in numbers, and metrics that nobody tracked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.errors import SettingError
from tellapart.records import ModelStep, StudyRecord
from tellapart.study.history import METRICS, describe_history, read_history
from tellapart.workspace import read_record


@pytest.fixture
def study(trained: Path) -> tuple[Path, ModelStep]:
    folder = trained / "train-0"
    step = read_record(folder / "results.json", StudyRecord).steps["baseline"]
    assert isinstance(step, ModelStep)
    return folder, step


def test_every_epoch_has_the_values_of_its_row(study: tuple[Path, ModelStep]) -> None:
    folder, step = study
    (found,) = read_history(folder)
    assert (found.step, found.epochs, tuple(found.metrics)) == ("baseline", (1, 2, 3), METRICS)
    rows = step.run.history
    assert found.metrics["val_accuracy"] == tuple(row.val_accuracy for row in rows)
    assert found.best_epoch == step.run.best_epoch
    text = describe_history([found])
    assert text.count("\n") == 4 and text.count("best") == 1
    assert f"{rows[1].val_loss:.4f}" in text.splitlines()[3]
    assert read_history(folder / "baseline", ["loss"])[0].metrics.keys() == {"loss"}


def test_a_metric_that_was_not_tracked_is_refused_with_the_right_name(
    study: tuple[Path, ModelStep], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, step = study
    with pytest.raises(SettingError, match=r"tracked are .*'val_acc'; did you mean 'val_accuracy'"):
        read_history(folder, ["val_acc"])
    assert main(["history", str(folder), "--metric", "val_acc"]) == 2
    assert "did you mean 'val_accuracy'" in capsys.readouterr().err
    assert main(["history", str(folder), "--metric", "val_accuracy", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["metrics"] == {"val_accuracy": [row.val_accuracy for row in step.run.history]}
