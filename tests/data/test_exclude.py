"""Images that are left out are nowhere: in no split, no share, no read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import ReadSettings
from tellapart.data import load_images
from tellapart.data.dataset import resize_dataset, share_dataset
from tellapart.data.exclude import exclude_images, write_names
from tellapart.data.split import make_split
from tellapart.errors import DataError
from tellapart.study.settings import StudySettings
from tellapart.study.study import run_study


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "1/0.png\n10/3.png\n",
        "file,reason\n1/0.png,blank\n10/3.png,copy\n",
        "\ufeff1/0.png\n10/3.png",
    ],
)
def test_files_are_named_by_their_paths(folder: Path, tmp_path: Path, text: str) -> None:
    whole = load_images(folder)
    path = write(tmp_path / "out.csv", text)
    dataset = load_images(folder, read=ReadSettings(exclude=path))
    assert len(dataset) == 10 and not {"1/0.png", "10/3.png"} & set(dataset.files)
    assert "left out by out.csv: 2 images" in dataset.notes
    assert dataset.fingerprint != whole.fingerprint
    kept = [row for row, name in enumerate(whole.files) if name in dataset.files]
    rows = np.arange(10)
    np.testing.assert_array_equal(dataset.source.read(rows), whole.source.read(np.array(kept)))
    for made in (resize_dataset(dataset, 32), share_dataset(dataset, tmp_path / "pixels")):
        assert made.source.read(rows[3:5]).shape[0] == 2
    (folder / "1" / "0.png").unlink()
    (folder / "10" / "3.png").unlink()
    assert load_images(folder).fingerprint == dataset.fingerprint


def test_what_is_written_is_left_out(tmp_path: Path) -> None:
    digits = load_images("digits")
    path = write_names(tmp_path / "out.csv", {"row 3": "far from all others", "row 7": "=cmd()"})
    dataset = load_images("digits", read=ReadSettings(exclude=path))
    assert len(dataset) == 1795
    assert not {digits.hashes[row] for row in (3, 7)} & set(dataset.hashes)


def test_those_left_out_move_no_others(tmp_path: Path) -> None:
    digits = load_images("digits")
    before = make_split(digits)
    gone = before.test[:5]
    path = write_names(tmp_path / "out.csv", {f"row {row}": "x" for row in gone.tolist()})
    dataset = exclude_images(digits, path)
    sides = {digits.hashes[row]: "test" for row in before.test.tolist()}
    after = make_split(dataset)
    moved = [row for row in after.test.tolist() if dataset.hashes[row] not in sides]
    assert len(moved) <= 5


def test_bad_files_are_refused(folder: Path, tmp_path: Path) -> None:
    for text, words in (
        ("nothing.png\n", "of the 1 names in .* it has none"),
        ("".join(f"1/{number}.png\n" for number in range(4)), "leaves none of 1; leave fewer out"),
        ('"1/0.png', "cannot be read"),
    ):
        path = write(tmp_path / "out.csv", text)
        with pytest.raises(DataError, match=words):
            load_images(folder, read=ReadSettings(exclude=path))
    with pytest.raises(DataError, match="cannot be read"):
        load_images(folder, read=ReadSettings(exclude=tmp_path / "none.csv"))


def test_what_is_left_out_twice_keeps_its_names(tmp_path: Path) -> None:
    digits = load_images("digits")
    first = exclude_images(digits, write(tmp_path / "a.csv", "row 0\n"))
    assert first.name_row(0) == "row 1"
    second = exclude_images(first, write(tmp_path / "b.csv", "row 5\nrow 0\n"))
    assert second.hashes == tuple(h for row, h in enumerate(digits.hashes) if row not in (0, 5))
    assert second.notes[-1].endswith(
        "left out by b.csv: 1 image; 1 names in it are of none, such as row 0"
    )


def test_pixels_that_are_held_keep_their_size(tmp_path: Path) -> None:
    digits = load_images("digits")
    part = exclude_images(digits, write(tmp_path / "a.csv", "row 0\n"))
    assert resize_dataset(part, 224).image_size == 8


def test_a_file_that_names_none_leaves_all(folder: Path, tmp_path: Path) -> None:
    """What --exclude-to writes of a clean set."""
    path = write_names(tmp_path / "out.csv", {})
    dataset = load_images(folder, read=ReadSettings(exclude=path))
    assert len(dataset) == 12 and dataset.notes[-1] == "out.csv names no image to leave out"


def test_a_file_that_a_spreadsheet_wrote_is_read(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "out.csv", "file;reason\r\n1/0.png;blank, or so\r\n")
    assert len(load_images(folder, read=ReadSettings(exclude=path))) == 11


def test_a_class_has_to_keep_images_to_train_on(tmp_path: Path) -> None:
    digits = load_images("digits")
    roles = tuple("test" if row % 2 else "train" for row in range(len(digits)))
    given = replace(digits, roles=roles)
    rows = [row for row in range(0, len(digits), 2) if digits.labels[row] == 3]
    path = write_names(tmp_path / "out.csv", {f"row {row}": "x" for row in rows})
    with pytest.raises(DataError, match="to train on, but leaves none of 3; leave fewer out"):
        exclude_images(given, path)


def test_images_that_are_left_out_are_nowhere(folder: Path, tmp_path: Path) -> None:
    names = ["1/3.png", "2/1.png", "10/2.png"]
    whole = load_images(folder)
    hashes = [key for key, file in zip(whole.hashes, whole.files, strict=True) if file in names]
    path = write(tmp_path / "out.csv", "".join(f"{name}\n" for name in names))
    dataset = load_images(folder, read=ReadSettings(exclude=path))
    parts = ("train", "train", "val", "test")
    dataset = replace(dataset, roles=tuple(parts[row % 4] for row in range(len(dataset))))
    settings = StudySettings(steps=("inspect", "baseline"), epochs=1)
    run_study(dataset, settings, tmp_path / "study")
    for file in (tmp_path / "study").rglob("*"):
        if file.suffix in (".json", ".csv", ".html"):
            text = file.read_text("utf-8")
            assert not [one for one in (*names, *hashes) if one in text], file
