"""Looking again at finished models: val is free, a look at test is counted and marked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.data import load_images
from tellapart.errors import BackboneError, DataError, SettingError, WorkspaceError
from tellapart.records import LookRecord, ModelStep, StudyRecord
from tellapart.study.evaluate import describe_evaluation, evaluate_run
from tellapart.study.settings import StudySettings
from tellapart.study.study import run_study
from tellapart.train.checkpoint import BEST
from tellapart.workspace import read_record
from tests.transfer.backbones import make_tiny


@pytest.fixture
def train(trained: Path, tmp_path: Path) -> Path:
    """A copy of a study of one training."""
    return Path(shutil.copytree(trained / "train-0", tmp_path / "train"))


def read_results(folder: Path) -> StudyRecord:
    return read_record(folder / "results.json", StudyRecord)


def read_model(folder: Path, step: str) -> ModelStep:
    found = read_results(folder).steps[step]
    assert isinstance(found, ModelStep)
    return found


def read_ledger(folder: Path) -> list[LookRecord]:
    return [LookRecord(**entry) for entry in json.loads((folder / "ledger.json").read_text())]


def test_val_is_looked_at_without_a_trace(study: Path, small_backbone: str) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    found = evaluate_run(load_images("digits"), study, backbone=small_backbone)
    steps = ("baseline", "conv", "dense", "search", "transfer")
    assert [(model.step, model.look) for model in found.models] == [(one, None) for one in steps]
    for model in found.models:
        then = read_model(study, model.step).val_score  # perhaps in bfloat16
        assert model.score.value == pytest.approx(then.value, abs=0.02)
    assert before == {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}


def test_each_look_at_test_is_counted_and_marked(train: Path) -> None:
    digits = load_images("digits")
    own = len(read_ledger(train))
    found = evaluate_run(digits, train / "baseline", "test")
    assert [model.look for model in found.models] == [own + 1]
    assert found.models[0].score == read_model(train, "baseline").test_score
    again = evaluate_run(digits, train / "baseline", "test")
    assert [model.look for model in again.models] == [own + 2]
    assert again.beyond == 2
    ledger = read_ledger(train)
    assert [entry.beyond for entry in ledger] == [False] * own + [True, True]
    assert read_results(train).ledger == tuple(ledger)
    assert (train / "report.html").read_text().count("beyond the study</span>") == 2
    assert "2 looks at test beyond the study's own" in describe_evaluation(again)


def test_the_command_knows_the_data_by_name(
    train: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(train), "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "baseline  test" in said and "look 2 at test" in said


def test_other_images_another_backbone_and_what_is_no_study_are_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = load_images("digits")
    identity = json.loads((study / "identity.json").read_text())
    (study / "identity.json").write_text(json.dumps(identity | {"fingerprint": "other"}))
    with pytest.raises(DataError, match="other images"):
        evaluate_run(digits, study)
    with pytest.raises(WorkspaceError, match="another folder"):
        evaluate_run(digits, tmp_path)
    (study / "identity.json").write_text(json.dumps(identity))
    with monkeypatch.context() as patch:
        patch.setattr("tellapart.study.evaluate.make_backbone", lambda *args, **named: make_tiny())
        with pytest.raises(DataError, match="backbone"):
            evaluate_run(digits, study / "transfer", backbone="hub/tiny:one")


@pytest.mark.parametrize("name", ["split.json", "identity.json", "ledger.json", "args.json"])
@pytest.mark.parametrize("content", ["{}", "[1]", "null", '{"kind": "network"}', "{"])
def test_an_altered_file_of_a_study_is_refused_by_name(
    name: str, content: str, study: Path
) -> None:
    paths = [study / name] if name != "args.json" else list(study.glob("*/*/args.json"))
    for path in paths:
        path.write_text(content)
    with pytest.raises(WorkspaceError, match=name.replace(".", r"\.")):
        evaluate_run(load_images("digits"), study, "test")


def test_weights_that_were_altered_are_refused(study: Path, small_backbone: str) -> None:
    for step in ("baseline", "transfer"):
        path = study / read_model(study, step).run.folder / BEST
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        with pytest.raises(WorkspaceError, match=r"best\.safetensors was altered"):
            evaluate_run(load_images("digits"), study / step, backbone=small_backbone)


def test_the_notebooks_val_is_refused_and_its_test_is_optimistic(tmp_path: Path) -> None:
    settings = StudySettings(steps=("baseline",), protocol="notebook", epochs=2)
    digits = load_images("digits")
    run_study(digits, settings, tmp_path / "study")
    with pytest.raises(SettingError, match=r"trains on the val images too.*--split test"):
        evaluate_run(digits, tmp_path / "study")
    found = evaluate_run(digits, tmp_path / "study", "test")
    assert [model.optimistic for model in found.models] == [True]
    assert "optimistic: its epoch was chosen on these images" in describe_evaluation(found)


def test_what_a_heads_record_names_makes_no_request_and_opens_nothing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_hosts(*args: object, **named: object) -> None:
        raise AssertionError(f"a host was looked up: {args}")

    monkeypatch.setattr("socket.getaddrinfo", refuse_hosts)
    digits = load_images("digits")
    path = study / read_model(study, "transfer").run.folder / "args.json"
    args = json.loads(path.read_text())
    for name in ("hf-hub:owner/model", f"local-dir:{tmp_path}", "test_vit2", "w"):
        path.write_text(json.dumps(args | {"backbone": name}))
        with pytest.raises(BackboneError, match=r"is not cached here.*--backbone local-dir:FOLDER"):
            evaluate_run(digits, study / "transfer")
