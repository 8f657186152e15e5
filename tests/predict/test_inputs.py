from __future__ import annotations

import csv
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tellapart.errors import DataError
from tellapart.predict.inputs import list_items
from tellapart.predict.predictor import Predictor
from tellapart.predict.score import Tally, has_labels, label_items, score_tally


def test_a_folder_has_all_its_images_in_order(photos: Path) -> None:
    items = list_items(photos)
    assert [item.name for item in items] == [
        f"{photos}/{path.relative_to(photos)}" for path in sorted(photos.glob("*/*.png"))
    ]
    assert {item.label for item in items} == {"0", "1", "7"}


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_read_in_place(kind: str, photos: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), kind, photos))
    items = list_items(path)
    assert [item.label for item in items] == ["0"] * 4 + ["1"] * 4 + ["7"] * 4
    with items[0].content.open() as content:
        assert content == next(iter(sorted(photos.glob("0/*")))).read_bytes()
    assert not (tmp_path / "a").exists()


def test_a_pattern_is_expanded(photos: Path) -> None:
    assert len(list_items(f"{photos}/*/*.png")) == 12
    assert len(list_items(f"{photos}/[01]")) == 8
    with pytest.raises(DataError, match="must be there"):
        list_items(f"{photos}/*.jpg")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a[1].png")
    assert [item.name for item in list_items(tmp_path / "a[1].png")] == [f"{tmp_path}/a[1].png"]


def test_a_table_names_images_and_perhaps_classes(photos: Path, predictor: Predictor) -> None:
    table = photos.parent / "new.csv"
    files = sorted(photos.glob("*/*.png"), reverse=True)
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "label"))
        writer.writerows((str(path.relative_to(table.parent)), path.parent.name) for path in files)
        writer.writerow(("photos/none.png", "7"))
    items = list_items(table)
    assert [item.name for item in items] == [
        *(str(path.relative_to(table.parent)) for path in files),
        "photos/none.png",
    ]
    assert has_labels(items, predictor.classes)
    answers = predictor(items)
    assert answers.failed == (("photos/none.png", "not there"),)
    tally = Tally()
    tally.add(answers)
    score = score_tally(tally, predictor.args)
    right = [label == path.parent.name for label, path in zip(answers.labels, files, strict=True)]
    assert score.accuracy.value == pytest.approx(sum(right) / 12)
    table.unlink()


def test_labels_come_from_folders_or_a_table(
    photos: Path, tmp_path: Path, predictor: Predictor
) -> None:
    items = list_items(photos)
    assert label_items(items, "folders", predictor.classes) == items
    table = tmp_path / "labels.csv"
    rows = "".join(f"{path.name},{path.parent.name}\n" for path in photos.glob("*/*.png"))
    table.write_text(f"file,label\n{rows}")
    assert label_items(items, str(table), predictor.classes) == items
    table.write_text(f"file,label\n{rows.replace(',7', ',seven')}")
    with pytest.raises(DataError, match=r"gives .* 'seven'"):
        label_items(items, str(table), predictor.classes)
    table.write_text(f"file,label\n{rows.replace(',7', ',1')}")
    with pytest.raises(DataError, match=r"may be .* or .*; give more of their paths"):
        label_items(
            [*items, replace(items[0], name="other/" + items[0].name)], str(table), ("0", "1")
        )
    table.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="must have a column file and a column label"):
        label_items(items, str(table), predictor.classes)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has none"):
        list_items(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match="has none"):
        list_items(tmp_path)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.txt", "a.txt")
    with pytest.raises(DataError, match="none"):
        list_items(tmp_path / "a.tar")
