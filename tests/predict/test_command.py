from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.cli.predict import split_places


def test_it_says_a_line_an_image_and_the_score(
    handed: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(handed), str(photos), "--top", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 14
    assert all(line.count(" %") == 2 for line in out[:12])
    assert out[12].startswith("12 images: ")
    assert out[13].startswith("accuracy on these images ")
    assert "on the study's test" in out[13]


def test_bad_files_give_exit_code_1_and_the_others_their_answers(
    handed: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad.jpg", tmp_path / "a.csv"
    bad.write_bytes(b"no")
    assert main(["predict", str(handed), str(bad), str(photos / "0"), "--out", str(out)]) == 1
    with out.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 4
    said = capsys.readouterr().err
    assert f"tellapart: {bad}: not an image" in said
    assert said.endswith("tellapart: 1 image could not be read\n")


def test_json_has_all_of_it(handed: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(handed), str(photos / "7"), "--json", "--error", "0.2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["answers"]) == 4
    assert found["failed"] == []
    assert found["score"]["accuracy"]["n"] == 4


def test_without_a_run_the_newest_is_taken_and_said(
    handed: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(photos)]) == 2
    assert "no study in runs/ has one" in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(handed)
    assert main(["predict", str(photos / "1")]) == 0
    assert "with the model of runs/mine, the newest study here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "needs images"),
        (["--top", "0", "x"], "--top must be at least 1"),
        (["x", "--out", "a.txt"], "--out must end in .csv"),
        (["--error", "0.0001", "PHOTOS"], "cannot be promised from"),
        (["--error", "2", "PHOTOS"], "between 0 and 1"),
        (["--labels", "folders", "PHOTOS/../study"], "--labels must give each image one of"),
        (["--labels", "nowhere.csv", "PHOTOS"], "nowhere.csv"),
        (["--device", "cuda", "PHOTOS"], "--device cuda is not on this machine"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    given: list[str],
    said: str,
    handed: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "study"
    other.mkdir()
    (other / "a.png").write_bytes(next(photos.glob("*/*.png")).read_bytes())
    texts = [
        text.replace("PHOTOS/../study", str(other)).replace("PHOTOS", str(photos)) for text in given
    ]
    assert main(["predict", str(handed), *texts]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert said in error[0]


def test_a_study_without_a_model_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{}")
    assert split_places([str(tmp_path), "a.png"]) == (tmp_path, ["a.png"])


def test_an_output_that_cannot_be_written_is_said(
    handed: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["predict", str(handed), str(photos), "--out", str(tmp_path / "file/a.csv")]) == 2
    assert "could not be written" in capsys.readouterr().err


def test_a_wrong_model_is_not_taken_for_an_image(
    handed: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "runs/nope", str(photos)]) == 2
    assert "the first place must be a study" in capsys.readouterr().err
    assert main(["predict", str(handed / "baseline"), str(photos)]) == 2
    assert f"give {handed}" in capsys.readouterr().err


def test_a_table_may_name_images_anywhere(
    handed: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "list.csv"
    rows = "".join(f"{path},{path.parent.name}\n" for path in sorted(photos.glob("*/*.png")))
    table.write_text(f"file,label\n{rows}")
    assert main(["predict", str(handed), str(table)]) == 0
    assert "accuracy on these images" in capsys.readouterr().out
