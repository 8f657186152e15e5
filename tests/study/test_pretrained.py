"""Step 6 with weights in folders: they are what they hold, wherever they lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import read_split
from tellapart.errors import BackboneError, WorkspaceError
from tellapart.evaluate import Seal
from tellapart.plan import StudySettings, TransferSettings
from tellapart.records import LearningPoint, RunRecord, StudyRecord, TransferStep
from tellapart.study import run_study
from tellapart.study.bench import Bench
from tellapart.study.learn_transfer import learn_transfer
from tellapart.study.reporter import SilentReporter

from ..models.weights import change_config, save_weights


def ask(*backbones: str) -> StudySettings:
    own = TransferSettings(backbones=backbones, kinds=("logistic",), image_size=32)
    return StudySettings(steps=("transfer",), transfer=own, epochs=1, device="cpu")


def run(digits: Dataset, folder: Path, *backbones: str) -> StudyRecord:
    return run_study(digits, ask(*backbones), folder, command=str(backbones))


def test_a_study_is_of_what_a_folder_holds_and_not_of_its_name(
    digits: Dataset, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    first = run(digits, study, save_weights(tmp_path / "one" / "w"))
    cells = {path: path.stat().st_mtime_ns for path in study.glob("transfer/*/record.json")}
    for change in ("weights", "config"):
        other = save_weights(tmp_path / change / "w", seed=int(change == "weights"))
        if change == "config":
            change_config(tmp_path / change / "w", lambda c: c.update(model_args={"bn_eps": 0.1}))
        with pytest.raises(WorkspaceError, match=r"its backbones is \['a folder with weights"):
            run(digits, study, other)
    shutil.move(tmp_path / "one" / "w", tmp_path / "v")
    shutil.move(study, tmp_path / "moved")
    again = run(digits, tmp_path / "moved", f"local-dir:{tmp_path / 'v'}")
    assert again.steps == first.steps
    moved = (tmp_path / "moved").glob("transfer/*/record.json")
    assert sorted(path.stat().st_mtime_ns for path in moved) == sorted(cells.values())


def test_a_study_goes_on_with_weights_that_lie_elsewhere(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with those that have come to lie where they were."""
    name = save_weights(tmp_path / "one" / "w")

    def stop(*args: Any) -> RunRecord:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tellapart.study.heads.fit_logistic", stop)
        with pytest.raises(KeyboardInterrupt):
            run(digits, tmp_path / "study", name)
    shutil.move(tmp_path / "one" / "w", tmp_path / "v")
    save_weights(tmp_path / "one" / "w", seed=1)
    found = run(digits, tmp_path / "study", f"local-dir:{tmp_path / 'v'}").steps["transfer"]
    whole = run(digits, tmp_path / "whole", f"local-dir:{tmp_path / 'v'}").steps["transfer"]
    assert isinstance(found, TransferStep) and isinstance(whole, TransferStep)
    assert found.test.predictions == whole.test.predictions


def test_the_curve_of_a_backbone_is_of_its_weights_whatever_its_folder_is_called(
    digits: Dataset, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    record = run(digits, study, save_weights(tmp_path / "w"))
    shutil.move(tmp_path / "w", tmp_path / "v")
    split = read_split(study / "split.json", digits)
    settings = ask(f"local-dir:{tmp_path / 'v'}")
    bench = Bench(settings, digits, split, Seal(digits, split, study), study, SilentReporter())
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    scratch = LearningPoint(
        images=len(split.train), accuracy=step.val_accuracy, seeds=(0.5,), seconds=1.0
    )
    curve = learn_transfer(bench, record.steps, (1.0,), (scratch,), 1e9)
    assert curve is not None
    assert curve.points[0].images == len(split.train)
    assert curve.points[0].accuracy == step.val_accuracy


def test_two_backbones_of_one_name_are_refused_before_any_work(
    digits: Dataset, tmp_path: Path
) -> None:
    one = save_weights(tmp_path / "one" / "w")
    two = save_weights(tmp_path / "two" / "w", seed=1)
    with pytest.raises(BackboneError, match="names of their own, but two are called w"):
        run(digits, tmp_path / "study", one, two)
    assert not (tmp_path / "study").exists()


def test_a_cache_that_cannot_be_written_is_found_out_before_any_work(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save_weights(tmp_path / "w")
    (tmp_path / "file").write_text("a file where a folder should go")
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "file"))
    settings = ask(name).model_copy(update={"steps": ("baseline", "transfer")})
    with pytest.raises(
        WorkspaceError, match=r"cache of features must be readable and writable.*file/features"
    ):
        run_study(digits, settings, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_weights_that_are_gone_are_named(digits: Dataset, tmp_path: Path) -> None:
    run(digits, tmp_path / "study", save_weights(tmp_path / "w"))
    shutil.rmtree(tmp_path / "w")
    with pytest.raises(BackboneError, match=r"w/config.json does not exist"):
        run(digits, tmp_path / "study", f"local-dir:{tmp_path / 'w'}")
    identity = json.loads((tmp_path / "study" / "identity.json").read_text())
    assert str(tmp_path) not in str(identity)


@pytest.mark.parametrize("content", ["{}", '{"chosen": [["w"]], "screened": []}', "[1]"])
def test_a_choice_that_was_altered_is_refused_by_name(
    content: str, digits: Dataset, tmp_path: Path
) -> None:
    name = save_weights(tmp_path / "w")
    run(digits, tmp_path / "study", name)
    (tmp_path / "study/transfer/record.json").unlink()
    (tmp_path / "study/transfer/candidates.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"candidates\.json was altered"):
        run(digits, tmp_path / "study", name)
