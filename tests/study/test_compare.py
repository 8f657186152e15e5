"""Finished runs compared, those of other data or altered ones refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tellapart.config import SplitSettings
from tellapart.data import load_images
from tellapart.data.split import make_split, write_split
from tellapart.errors import DataError, UserError, WorkspaceError
from tellapart.evaluate import read_correct
from tellapart.lock import LOCK
from tellapart.metrics.comparisons import compare_pairs
from tellapart.report.wording import say_comparison
from tellapart.study.compare import compare_models, describe_comparison
from tellapart.study.settings import StudySettings
from tellapart.study.study import run_study


@pytest.fixture
def folder(trained: Path, finished: Path, tmp_path: Path) -> Path:
    """Two trainings of one network with two seeds, and a study."""
    folder = tmp_path / "runs"
    shutil.copytree(trained, folder)
    shutil.copytree(finished, folder / "study", ignore=shutil.ignore_patterns(LOCK))
    return folder


def test_two_runs_are_compared_on_their_common_images(folder: Path) -> None:
    record = compare_models([folder / "train-0", folder / "train-1"])
    assert [run.name for run in record.runs] == ["train-0", "train-1"]
    files = {run.name: Path(run.folder) / "predictions.csv" for run in record.runs}
    names = {name: name for name in files}
    correct, groups = read_correct(files)
    assert record.comparisons == compare_pairs(correct, names, say_comparison, None, groups)
    said = describe_comparison(record)
    assert "train-1" in said and "n = 269" in said
    assert record.comparisons[0].sentence in said


def test_a_study_stands_for_its_models_and_a_step_for_its_own(folder: Path) -> None:
    whole = compare_models([folder / "study"])
    assert [run.name for run in whole.runs] == ["baseline", "conv", "dense", "search", "transfer"]
    mixed = compare_models([folder / "study" / "conv", folder / "train-0"])
    assert [run.name for run in mixed.runs] == ["study", "train-0"]
    three = compare_models([folder / "study", folder / "train-0"])
    names = [run.name for run in three.runs]
    assert names[:2] == ["study/baseline", "study/conv"] and names[-1] == "train-0/baseline"
    assert len(three.comparisons) == 15


def test_a_run_whose_epoch_was_chosen_on_test_is_marked(folder: Path, tmp_path: Path) -> None:
    settings = StudySettings(epochs=2, steps=("baseline",), protocol="notebook")
    run_study(load_images("digits"), settings, tmp_path / "notebook")
    record = compare_models([tmp_path / "notebook", folder / "train-0"])
    assert [run.optimistic for run in record.runs] == [True, False]
    assert "Optimistic (notebook): the best epoch was chosen" in describe_comparison(record)


def test_a_copied_folder_is_as_good(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "train-1", tmp_path / "elsewhere")
    found = compare_models([folder / "train-0", tmp_path / "elsewhere"])
    here = compare_models([folder / "train-0", folder / "train-1"])
    assert found.comparisons[0].p_value == here.comparisons[0].p_value


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-0", "train-0"], "train-0/baseline is given twice"),
        (["train-0", "./train-0/baseline"], "given twice"),
        (["train-0"], "at least two models, but got 1 in .*train-0;"),
        (["study/inspect", "train-0"], "got 1 in .*name another run"),
        (["nowhere", "train-0"], "nowhere is not there"),
        (["train-0/baseline/no-cell", "train-0"], "no-cell is not there"),
        ([".", "train-0"], "is another folder; name one such as"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder: Path, names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        compare_models([folder / name for name in names])


def test_none_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="at least two"):
        compare_models([])


def test_an_unfinished_run_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "study", tmp_path / "half")
    (tmp_path / "half" / "conv" / "record.json").unlink()
    with pytest.raises(WorkspaceError, match="half has no conv yet; start its command again"):
        compare_models([tmp_path / "half", folder / "train-0"])


def test_a_study_is_finished_without_what_it_had_no_time_for(folder: Path) -> None:
    study, results = folder / "study", folder / "study" / "results.json"
    record = json.loads(results.read_text())
    del record["steps"]["learn"]
    results.write_text(json.dumps(record | {"left_out": {"learn": "no time"}}))
    (study / "learn" / "record.json").unlink()
    assert len(compare_models([study]).runs) == 5


def test_an_altered_file_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "train-1", tmp_path / "altered")
    (path,) = (tmp_path / "altered").rglob("predictions.csv")
    path.write_text(path.read_text().replace(",0,", ",1,", 1))
    with pytest.raises(WorkspaceError, match=r"predictions\.csv was altered since"):
        compare_models([tmp_path / "altered", folder / "train-0"])
    path.unlink()
    with pytest.raises(WorkspaceError, match=r"predictions\.csv cannot be read"):
        compare_models([tmp_path / "altered", folder / "train-0"])


def test_another_split_or_other_data_are_refused(folder: Path, tmp_path: Path) -> None:
    digits = load_images("digits")
    other = tmp_path / "other"
    shutil.copytree(folder / "train-1", other)
    write_split(other / "split.json", digits, make_split(digits, SplitSettings(seed=5)))
    with pytest.raises(DataError, match="divide the images differently"):
        compare_models([folder / "train-0", other])
    manifest = json.loads((other / "split.json").read_text()) | {"fingerprint": "0" * 8}
    (other / "split.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="are of different data"):
        compare_models([folder / "train-0", other])
