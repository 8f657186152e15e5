"""Tables of images and labels, in the layouts that people and exporters write."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import ReadSettings
from tellapart.data import Dataset, load_images
from tellapart.errors import DataError

Writer = Callable[..., Path]
Row = Mapping[str, object]


@pytest.fixture
def photos(tmp_path: Path, write_image: Writer) -> Path:
    """A folder of 12 loose images 0.png to 11.png, below images/."""
    for number in range(12):
        write_image(tmp_path / "images" / f"{number}.png", number)
    return tmp_path


def make_rows(count: int = 12, **more: Callable[[int], object]) -> list[dict[str, object]]:
    return [
        {"file": f"{n}.png", "label": "cat" if n % 2 else "dog"}
        | {name: make(n) for name, make in more.items()}
        for n in range(count)
    ]


def write_csv(path: Path, rows: Sequence[Row], mark: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=5)
    return path


def check(dataset: Dataset, count: int = 12) -> None:
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [(n + 1) % 2 for n in range(count)]
    pixels = dataset.source.read(np.arange(count))
    assert len({image.tobytes() for image in pixels}) == count


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("labels.csv", write_csv),
        ("labels.tsv", lambda path, rows: write_csv(path, rows, "\t")),
        ("semicolons.csv", lambda path, rows: write_csv(path, rows, ";")),
        ("excel.csv", lambda path, rows: write_csv(path, rows, ",", "utf-8-sig")),
        ("labels.jsonl", write_jsonl),
        ("labels.parquet", write_parquet),
    ],
)
def test_each_kind_of_table(photos: Path, name: str, write: Callable[..., Path]) -> None:
    found = load_images(write(photos / name, make_rows()))
    check(found)
    assert found.files[:2] == ("0.png", "1.png")
    assert found.origin == f"table {name}: 12 images of 2 classes"


@pytest.mark.parametrize("places", ["images/{}.png", "{}", "./images/{}.png", "images\\{}.png"])
def test_paths_are_found_beside_the_table(photos: Path, places: str) -> None:
    rows = [{"image": places.format(n), "class": "dog" if n % 2 == 0 else "cat"} for n in range(12)]
    check(load_images(write_csv(photos / "labels.csv", rows)))


def test_images_may_lie_elsewhere_when_it_is_said(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    table = write_csv(tmp_path / "tables" / "labels.csv", make_rows())
    with pytest.raises(DataError, match=r"12 of 12 are not, such as 0\.png; say by --images"):
        load_images(table)
    check(load_images(table, read=ReadSettings(images=photos / "images")))


def test_a_folder_with_a_table_is_read_by_it(photos: Path) -> None:
    """Medical pictures in images/ beside a table."""
    table = write_csv(photos / "metadata.csv", make_rows())
    check(load_images(photos))
    table.unlink()
    with pytest.raises(DataError, match="has one"):
        load_images(photos)


def test_class_folders_go_before_a_table(folder: Path) -> None:
    write_csv(folder / "labels.csv", [{"file": "1/0.png", "label": "x"}])
    assert load_images(folder).classes == ("1", "2", "10")


def test_a_table_for_each_split(tmp_path: Path, write_image: Writer) -> None:
    """train.csv and test.csv beside flat train/ and test/."""
    for role, count in (("train", 8), ("test", 4)):
        for number in range(count):
            write_image(tmp_path / role / f"{number}.png", 10 * count + number)
        write_csv(tmp_path / f"{role}.csv", make_rows(count))
    dataset = load_images(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.roles == ("test",) * 4 + ("train",) * 8
    write_csv(tmp_path / "test.csv", [{"file": f"{number}.png"} for number in range(4)])
    dataset = load_images(tmp_path)
    assert set(dataset.roles) == {"train"} and "test.csv has no labels: left out" in dataset.notes


def test_splits_groups_and_facts_are_columns(photos: Path) -> None:
    rows = make_rows(
        Split=lambda n: ("train", "validation", "TEST")[n // 4],
        patient=lambda n: f"p{n // 3}",
        age=lambda n: 20 + n,
        site=lambda n: "north",
    )
    dataset = load_images(write_csv(photos / "labels.csv", rows))
    check(dataset)
    assert dataset.roles == ("train",) * 4 + ("val",) * 4 + ("test",) * 4
    assert dataset.names[2:5] == ("p0", "p1", "p1")
    assert dataset.facts["age"][:2] == ("20", "21") and set(dataset.facts) >= {"age", "site"}
    said = "images of one patient are a group, which no split divides"
    assert any(note.startswith(said) and "--group-column none" in note for note in dataset.notes)
    named = ReadSettings(group_column="site", label_column="patient", split_column="Split")
    found = load_images(photos / "labels.csv", read=ReadSettings(group_column="site"))
    assert set(found.names) == {"north"}
    with pytest.raises(DataError, match="every class must have images in train"):
        load_images(photos / "labels.csv", read=named)


def test_a_column_that_is_called_set_may_be_another_thing(photos: Path) -> None:
    dataset = load_images(write_csv(photos / "labels.csv", make_rows(set=lambda n: f"batch {n}")))
    assert set(dataset.roles) == {""} and dataset.facts["set"][1] == "batch 1"
    with pytest.raises(DataError, match=r"train, val or test, but labels\.csv says 'batch 0'"):
        load_images(photos / "labels.csv", read=ReadSettings(split_column="set"))


def test_names_without_endings_are_found(photos: Path) -> None:
    rows = [{"image_id": n, "dx": "dog" if n % 2 == 0 else "cat"} for n in range(12)]
    check(load_images(write_csv(photos / "labels.csv", rows)))


def test_leading_zeros_and_na_stay_as_they_are(photos: Path) -> None:
    rows = [{"file": f"{n}.png", "label": ("01", "NA")[n % 2]} for n in range(12)]
    assert load_images(write_csv(photos / "labels.csv", rows)).classes == ("01", "NA")


def test_one_hot_columns(photos: Path) -> None:
    """As Roboflow exports a classification: _classes.csv."""
    rows = [{"filename": f"images/{n}.png", " cat": n % 2, " dog": 1 - n % 2} for n in range(12)]
    path = write_csv(photos / "_classes.csv", rows)
    assert [name.strip() for name in load_images(path).classes] == ["cat", "dog"]
    rows[3][" dog"] = 1
    with pytest.raises(DataError, match=r"row 4 .* has cat and dog; several labels an image"):
        load_images(write_csv(path, rows))


def test_the_hub_s_parquet_holds_the_images(tmp_path: Path, photos: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    about = {"info": {"features": {
        "image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }}}  # fmt: skip
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    for role, numbers in (("train", range(8)), ("test", range(8, 12))):
        rows = [
            {
                "image": {
                    "bytes": (photos / "images" / f"{n}.png").read_bytes(), "path": f"{n}.png"
                },
                "label": (n + 1) % 2,
            }
            for n in numbers
        ]  # fmt: skip
        table = pa.Table.from_pylist(rows).replace_schema_metadata(
            {"huggingface": json.dumps(about)}
        )
        pq.write_table(table, hub / f"{role}-00000-of-00001.parquet", row_group_size=3)
    dataset = load_images(tmp_path / "hub")
    assert dataset.classes == ("cat", "dog") and dataset.roles.count("test") == 4
    expected = load_images(write_csv(photos / "labels.csv", make_rows()))
    assert sorted(dataset.hashes) == sorted(expected.hashes)
    assert dataset.roles[:4] == ("test",) * 4
    last = expected.source.read(np.arange(8, 12))
    np.testing.assert_array_equal(dataset.source.read(np.arange(4)), last)


def test_fiftyone_s_export(tmp_path: Path, write_image: Writer) -> None:
    labels = {}
    for number in range(12):
        write_image(tmp_path / "data" / f"{number:06}.png", number)
        labels[f"{number:06}"] = (number + 1) % 2
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["cat", "dog"], "labels": labels}))
    check(load_images(tmp_path))
    check(load_images(tmp_path / "labels.json"))


def test_fiftyone_s_samples_as_json_lines(photos: Path) -> None:
    rows = [
        {
            "filepath": f"images/{n}.png",
            "ground_truth": {"_cls": "Classification", "label": ("dog", "cat")[n % 2]},
        }
        for n in range(12)
    ]
    check(load_images(write_jsonl(photos / "samples.jsonl", rows)))


def test_missing_files_are_counted_and_left_out_when_asked(photos: Path) -> None:
    (photos / "images" / "3.png").unlink()
    path = write_csv(photos / "labels.csv", make_rows())
    with pytest.raises(DataError, match=r"1 of 12 are not, such as 3\.png; .* --allow-missing"):
        load_images(path)
    dataset = load_images(path, read=ReadSettings(allow_missing=True))
    assert len(dataset) == 11 and any("such as 3.png, missing" in one for one in dataset.notes)


def test_empty_labels_and_doubled_rows_are_noted(photos: Path) -> None:
    rows = make_rows()
    rows[2]["label"] = ""
    dataset = load_images(write_csv(photos / "labels.csv", [*rows, rows[4]]))
    assert len(dataset) == 11
    assert "rows of labels.csv without an image or a label, left out: 1 of 13" in dataset.notes
    assert "rows that name an image again, read once: 1" in dataset.notes


def test_an_image_of_two_classes_is_refused(photos: Path) -> None:
    rows = make_rows()
    path = write_csv(photos / "labels.csv", [*rows, rows[4] | {"label": "cat"}])
    with pytest.raises(DataError, match=r"4\.png has dog and cat; keep one of its rows"):
        load_images(path)


@pytest.mark.parametrize("labels", [["a|b", "a", "b"], ["a, b", "a", " b"]])
def test_several_labels_are_refused(photos: Path, labels: list[str]) -> None:
    rows = [{"file": f"{n}.png", "label": labels[n % 3]} for n in range(12)]
    with pytest.raises(DataError, match="several labels an image are not supported"):
        load_images(write_csv(photos / "labels.csv", rows))


def test_unknown_columns_are_named_with_the_nearest(photos: Path) -> None:
    path = write_csv(photos / "labels.csv", make_rows())
    with pytest.raises(DataError, match=r"--label-column .*but got 'lable'; did you mean 'label'"):
        load_images(path, read=ReadSettings(label_column="lable"))
    rows = [{"what": f"{n}.png", "mood": "x"} for n in range(12)]
    with pytest.raises(
        DataError, match=r"a column of images, but has what, mood; .*--image-column"
    ):
        load_images(write_csv(path, rows))
    with pytest.raises(
        DataError, match=r"a column of labels, but has what, mood; .*--label-column"
    ):
        load_images(path, read=ReadSettings(image_column="what"))


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\0x", b"", b"file,label\na.png\n", b"file,file\na,b\n", b'file,label\n"a,b\n'],
)
def test_what_is_no_table_is_refused(photos: Path, content: bytes) -> None:
    path = photos / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"no table that can be read|must have"):
        load_images(path)


@pytest.mark.parametrize("content", ["[1, 2]", '"x"', "{", '{"labels": 3}', "null"])
def test_other_json_is_refused(photos: Path, content: str) -> None:
    path = photos / "labels.json"
    path.write_text(content)
    with pytest.raises(DataError, match="no table that can be read"):
        load_images(path)


def test_a_damaged_parquet_file_is_refused(photos: Path) -> None:
    pytest.importorskip("pyarrow")
    path = photos / "labels.parquet"
    path.write_bytes(b"PAR1 and more")
    with pytest.raises(DataError, match="no Parquet file that can be read"):
        load_images(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "", r"t\.csv is no table .*0 bytes"),
        ("t.jsonl", '{"file": "0.png"}\n\n{broken', r"t\.jsonl is no table .*\(line 3: Expecting"),
        ("t.csv", "file,label\n0.png,cat", r"one \(cat\); name the column of classes by --label-c"),
    ],
)
def test_an_error_is_of_the_table(photos: Path, name: str, content: str, words: str) -> None:
    (photos / name).write_text(content)
    with pytest.raises(DataError, match=words):
        load_images(photos / name)


def test_a_split_that_is_not_used_is_said(photos: Path) -> None:
    rows = make_rows(split=lambda n: "holdout" if n > 9 else "train")
    dataset = load_images(write_csv(photos / "labels.csv", rows))
    assert any("for 2 of 12 rows say 'holdout'" in note for note in dataset.notes)
    assert dataset.facts["split"][0] == "train" and set(dataset.roles) == {""}


def test_images_outside_of_the_folder_are_refused(photos: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    rows = [{"file": f"../images/{n}.png", "label": "ab"[n % 2]} for n in range(12)]
    path = write_csv(inner / "labels.csv", rows)
    with pytest.raises(DataError, match=r"must lie below .*inner, but '\.\./images/0\.png'"):
        load_images(path)
    assert len(load_images(path, read=ReadSettings(follow_links=True))) == 12
    rows = [row | {"file": str(photos / "images" / f"{n}.png")} for n, row in enumerate(rows)]
    found = load_images(write_csv(path, rows), read=ReadSettings(images=photos))
    assert len(found) == 12


def test_a_table_in_an_archive(photos: Path) -> None:
    import shutil

    write_csv(photos / "labels.csv", make_rows())
    path = shutil.make_archive(str(photos.parent / "packed"), "zip", photos)
    try:
        check(load_images(path))
    finally:
        os.unlink(path)


def test_odd_names_stay_whole(photos: Path, write_image: Writer) -> None:
    names = ['with "quotes"', "=cmd()", "<img src=x>", "line\nbreak", "\u05e9\u05dc\u05d5\u05dd"]
    rows = []
    for number, name in enumerate(names):
        write_image(photos / "images" / f"{name}.png", 50 + number)
        rows += [{"file": f"{name}.png", "label": name}]
    dataset = load_images(write_csv(photos / "labels.csv", rows))
    assert set(dataset.classes) == {name.replace("\n", "\\n") for name in names}


def test_roboflow_s_export_of_three_folders(tmp_path: Path, write_image: Writer) -> None:
    """train/, valid/ and test/, each with its images and a _classes.csv."""
    for role, count in (("train", 8), ("valid", 4), ("test", 4)):
        for number in range(count):
            write_image(tmp_path / role / f"{number}.png", 100 * count + len(role) + number)
        rows = [{"filename": f"{n}.png", " cat": n % 2, " dog": 1 - n % 2} for n in range(count)]
        write_csv(tmp_path / role / "_classes.csv", rows)
    dataset = load_images(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [dataset.roles.count(role) for role in ("train", "val", "test")] == [8, 4, 4]


def test_folders_of_images_and_masks_beside_a_table_are_asked_about(
    photos: Path, write_image: Writer
) -> None:
    for number in range(12):
        write_image(photos / "masks" / f"{number}.png", 50 + number)
    table = write_csv(photos / "labels.csv", make_rows())
    words = r"class folders \(images, masks\) or by labels\.csv \(cat, dog\); add --level top"
    with pytest.raises(DataError, match=words):
        load_images(photos)
    assert load_images(photos, read=ReadSettings(level="top")).classes == ("images", "masks")
    check(load_images(table))
    check(load_images(photos, read=ReadSettings(label_column="label")))


def test_columns_named_of_a_folder_without_tables_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"--group-column is of a table, but .* has none"):
        load_images(folder, read=ReadSettings(group_column="patient"))


def test_a_table_with_the_same_classes_beside_class_folders_is_noted(folder: Path) -> None:
    rows = [{"file": f"{name}/{n}.png", "label": name, "site": n} for name in ("1", "2", "10")
            for n in range(4)]  # fmt: skip
    write_csv(folder / "labels.csv", rows)
    note = "read by its class folders; labels.csv has columns besides: give it as DATA"
    assert note in load_images(folder).notes


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_table_that_is_a_link_out_of_the_folder_is_not_read(photos: Path) -> None:
    elsewhere = write_csv(photos / "images" / "secret.csv", make_rows())
    inner = photos / "inner"
    (inner / "images").mkdir(parents=True)
    (inner / "images" / "0.png").write_bytes((photos / "images" / "0.png").read_bytes())
    (inner / "labels.csv").symlink_to(elsewhere)
    with pytest.raises(DataError, match="has one"):
        load_images(inner)


def test_a_rewritten_parquet_is_read_anew(tmp_path: Path, write_image: Writer) -> None:
    pytest.importorskip("pyarrow")
    found = []
    for start in (0, 50):
        rows = []
        for number in range(12):
            path = write_image(tmp_path / "one.png", start + number)
            rows.append({"image": {"bytes": path.read_bytes()}, "label": "ab"[number % 2]})
        path = write_parquet(tmp_path / "set.parquet", rows)
        os.utime(path, ns=(start, start))
        found.append(load_images(path, memory_limit=0))
    assert not set(found[0].hashes) & set(found[1].hashes)


@pytest.mark.parametrize("labels", [[[1, 2]], [b"\xff\x00"]])
def test_parquet_labels_that_are_no_texts_are_refused(photos: Path, labels: list[object]) -> None:
    pytest.importorskip("pyarrow")
    rows = [{"file": f"{n}.png", "label": labels[0]} for n in range(12)]
    with pytest.raises(DataError, match=r"several labels|has bytes in the column label"):
        load_images(write_parquet(photos / "labels.parquet", rows))


def test_fiftyone_s_labels_without_classes_keep_the_first(
    tmp_path: Path, write_image: Writer
) -> None:
    for number in range(12):
        write_image(tmp_path / "data" / f"{number}.png", number)
    labels = {str(number): number % 2 for number in range(12)}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"classes": None, "labels": labels}))
    assert load_images(path).labels.tolist() == [0, 1] * 6
    path.write_text(json.dumps({"classes": ["a"], "labels": labels}))
    with pytest.raises(DataError, match="a label is 1, but there are 1 classes"):
        load_images(path)
    path.write_text(json.dumps({"classes": None, "labels": {"0": [0, 1], "1": 2}}))
    with pytest.raises(DataError, match="several labels an image"):
        load_images(path)


def test_numbers_of_any_length_are_sorted(photos: Path) -> None:
    rows = [{"file": f"{n}.png", "label": "9" * 5000 if n % 2 else "10"} for n in range(12)]
    assert load_images(write_csv(photos / "labels.csv", rows)).classes == ("10", "9" * 5000)


def test_images_may_lie_in_several_folders(tmp_path: Path, write_image: Writer) -> None:
    """HAM10000: one table, two folders of images, no ending in the names."""
    rows = []
    for number in range(20):
        folder = f"HAM10000_images_part_{1 + number % 2}"
        write_image(tmp_path / folder / f"ISIC_{number:07}.jpg", number)
        name, label = f"ISIC_{number:07}", ("nv", "mel")[number // 10]
        rows.append({"lesion_id": f"HAM_{number}", "image_id": name, "dx": label})
    write_csv(tmp_path / "HAM10000_metadata.csv", rows)
    with pytest.raises(DataError, match="may be read by its class folders"):
        load_images(tmp_path)
    dataset = load_images(tmp_path / "HAM10000_metadata.csv")
    assert dataset.classes == ("mel", "nv") and len(dataset) == 20


def test_an_image_in_two_folders_is_not_guessed(tmp_path: Path, write_image: Writer) -> None:
    rows = [{"file": f"{number}.png", "label": "ab"[number % 2]} for number in range(6)]
    for number in range(6):
        for folder in ("photographs", "masks"):
            write_image(tmp_path / folder / f"{number}.png", number)
    with pytest.raises(DataError, match=r"6 of 6 are not, such as 0\.png; say by"):
        load_images(write_csv(tmp_path / "labels.csv", rows))


def test_a_table_of_no_split_beside_others_is_left_out(tmp_path: Path, write_image: Writer) -> None:
    """Kaggle's sample_submission.csv has labels that are none."""
    rows = [{"id": f"{number}.png", "label": "ab"[number % 2]} for number in range(12)]
    for number in range(20):
        write_image(tmp_path / "images" / f"{number}.png", number)
    write_csv(tmp_path / "train.csv", rows)
    made_up = [{"id": f"{number}.png", "label": "a"} for number in range(12, 20)]
    write_csv(tmp_path / "sample_submission.csv", made_up)
    dataset = load_images(tmp_path)
    assert len(dataset) == 12
    assert "sample_submission.csv is of no split, as others are: left out" in dataset.notes


def test_images_of_one_name_in_several_tables_have_names_of_their_own(
    tmp_path: Path, write_image: Writer
) -> None:
    for place, role in enumerate(("train", "valid", "test")):
        rows = []
        for number in range(6):
            write_image(tmp_path / role / f"{number}.png", 10 * place + number)
            rows.append({"filename": f"{number}.png", "a": number % 2, "b": 1 - number % 2})
        write_csv(tmp_path / role / "_classes.csv", rows)
    dataset = load_images(tmp_path)
    assert len(set(dataset.files)) == len(dataset) == 18
    assert dataset.files[0] == "test/0.png"


def test_classes_that_differ_in_case_are_noted(photos: Path) -> None:
    rows = make_rows()
    rows[0]["label"] = str(rows[0]["label"]).upper()
    dataset = load_images(write_csv(photos / "labels.csv", rows))
    assert any("differ only in case" in note for note in dataset.notes)


def test_a_column_called_group_may_be_none(photos: Path) -> None:
    path = write_csv(photos / "labels.csv", make_rows(group=lambda row: "ab"[row % 2]))
    assert load_images(path).names
    dataset = load_images(path, read=ReadSettings(group_column="none"))
    assert not dataset.names and "group" in dataset.facts


def test_a_hub_s_parquet_in_an_archive(tmp_path: Path, photos: Path) -> None:
    cells = [{"bytes": path.read_bytes()} for path in sorted((photos / "images").iterdir())[:12]]
    rows = [{"image": cell, "label": number % 3} for number, cell in enumerate(cells)]
    path = write_parquet(tmp_path / "train.parquet", rows)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(path, path.name)
    inside, beside = load_images(tmp_path / "set.zip"), load_images(path)
    assert inside.hashes == beside.hashes and inside.labels.tolist() == beside.labels.tolist()


def test_labels_with_a_confidence_are_their_names(tmp_path: Path, write_image: Writer) -> None:
    """FiftyOne's export with confidences."""
    labels = {}
    for number in range(12):
        write_image(tmp_path / "data" / f"{number}.png", number)
        labels[str(number)] = {"label": "ab"[number % 2], "confidence": 0.5}
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["a", "b"], "labels": labels}))
    assert load_images(tmp_path).classes == ("a", "b")


def test_a_folder_around_a_file_that_is_data_says_so(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    np.savez(tmp_path / "set" / "set.npz", x=np.zeros((4, 2, 2)), y=np.arange(4))
    with pytest.raises(DataError, match=r"a \.npz file is data by itself: give its path"):
        load_images(tmp_path / "set")
