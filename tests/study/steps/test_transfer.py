"""The transfer: weights in folders are what they hold, wherever they lie; views; fine-tuning."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tellapart.data.dataset import Dataset
from tellapart.errors import BackboneError, SettingError, WorkspaceError
from tellapart.records import RunRecord, StudyRecord, TransferStep
from tellapart.study.evaluate import evaluate_run
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.study.study import run_study
from tests.models.weights import change_config, save_weights


def ask(*backbones: str) -> StudySettings:
    own = TransferSettings(backbones=backbones, heads="logistic", image_size=32)
    return StudySettings(
        steps=("transfer",), transfer=own, epochs=1, compute=ComputeSettings(device="cpu")
    )


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
    content: str, study: Path, digits: Dataset, settings: StudySettings
) -> None:
    (study / "transfer/record.json").unlink()
    (study / "transfer/candidates.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"candidates\.json was altered"):
        run_study(digits, settings, study)


def test_both_models_are_tested_and_compared(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    assert step.tuned is not None
    tuned = step.tuned
    assert [entry.purpose for entry in record.ledger if entry.step == "transfer"] == [
        "final model of step transfer",
        "fine-tuned model of step transfer",
    ]
    assert len(tuned.run.history) == 1
    assert tuned.frozen.folder == step.backbones[0].run.folder
    comparison = tuned.comparison
    assert comparison.difference == pytest.approx(tuned.score.value - tuned.frozen_score.value)
    assert comparison.n == tuned.score.n
    better = tuned.run.val_score.value > tuned.frozen.val_score.value
    assert tuned.kept == better
    assert step.run == (tuned.run if better else tuned.frozen)
    assert step.test_score == (tuned.score if better else tuned.frozen_score)
    assert comparison.sentence in step.answer
    assert "Frozen or fine-tuned" in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow  # so it is with heads, and networks from scratch
def test_a_fine_tuned_model_that_is_kept_can_be_evaluated_again(
    digits: Dataset, small_backbone: str, tmp_path: Path
) -> None:
    """The head has learned next to nothing before."""
    own = TransferSettings.model_validate(
        {
            "backbones": (small_backbone,),
            "heads": "dense",
            "head": {"dense": 0, "lr": 1e-6},
            "image_size": 32,
            "tune": {"depth": "all", "epochs": 2, "augment": "none"},
        }
    )
    settings = StudySettings(
        steps=("transfer",), transfer=own, epochs=1, compute=ComputeSettings(device="cpu")
    )
    step = run_study(digits, settings, tmp_path / "s").steps["transfer"]
    assert isinstance(step, TransferStep) and step.tuned is not None and step.tuned.kept
    assert step.model == "small, fine-tuned"
    (found,) = evaluate_run(digits, tmp_path / "s", "val", "cpu", small_backbone).models
    assert found.score == step.val_score


def test_views_are_more_to_learn_from_and_heads_without_them_stay(
    digits: Dataset, small_backbone: str, tmp_path: Path
) -> None:
    settings = ask(small_backbone)
    views = settings.transfer.model_copy(update={"views": 1, "view_augment": "shift"})
    settings = settings.model_copy(update={"transfer": views})
    step = run_study(digits, settings, tmp_path / "s").steps["transfer"]
    assert isinstance(step, TransferStep)
    assert [head.views for head in step.backbones[0].heads] == [0, 1]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"views": 2, "view_augment": "mixup"}, SettingError, "got mixup"),
        ({"image_size": 9, "backbones": ("nowhere",)}, BackboneError, "nowhere"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(
    asked: dict[str, Any],
    error: type[Exception],
    said: str,
    digits: Dataset,
    small_backbone: str,
    tmp_path: Path,
) -> None:
    transfer = TransferSettings.model_validate({"backbones": (small_backbone,)} | asked)
    with pytest.raises(error, match=said):
        run_study(digits, StudySettings(transfer=transfer), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_head_sizes_that_repeat_are_refused_before_anything_is_trained(
    digits: Dataset, small_backbone: str, tmp_path: Path
) -> None:
    own = TransferSettings(backbones=(small_backbone,), head_sizes=(4, 4))
    with pytest.raises(SettingError, match="4"):
        run_study(digits, StudySettings(steps=("transfer",), transfer=own), tmp_path / "study")
    assert not (tmp_path / "study").exists()
