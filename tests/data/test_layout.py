import os
import re
from pathlib import Path

import pytest

from tellapart.data.layout import find_role
from tellapart.data.tree import Tree, scan_tree
from tellapart.errors import DataError


def write_places(root: Path, places: str) -> Tree:
    """Write an image, in name, into each place, and look at the whole."""
    for place in places.split():
        (root / place).mkdir(parents=True)
        (root / place / "cat.0.png").touch()
    return scan_tree(root)


def list_parts(tree: Tree) -> set[tuple[str, str]]:
    return {(file.role, file.class_name) for file in tree.files}


ROLES = (("training_set", "train"), ("Val-Data", "val"), ("testImages", "test"), ("TEST 2", "test"))
NONE = ("trains", "protest", "contest", "devil", "attestation", "d\u00e9test")


@pytest.mark.parametrize(("name", "role"), [*ROLES, *((name, "") for name in NONE)])
def test_a_word_in_the_name_tells_the_split(name: str, role: str) -> None:
    assert find_role(name) == role


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Train_Data", "Test_Data"),
        ("train_images", "val_images"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/images", "val/images"),
        ("train/images", "val"),
        ("train", "val_set"),
    ],
)
def test_splits_of_other_names_are_no_classes(tmp_path: Path, train: str, test: str) -> None:
    tree = write_places(tmp_path, f"{train}/cats {train}/dogs {test}/cats {test}/dogs")
    role = find_role(test)
    assert list_parts(tree) == {
        (part, name) for part in ("train", role) for name in ("cats", "dogs")
    }
    assert {f"read as train: {train}", f"read as {role}: {test}"} <= set(tree.notes)


def test_plain_names_of_splits_need_no_note(tmp_path: Path) -> None:
    assert write_places(tmp_path, "train/cats train/dogs test/cats test/dogs").notes == []


def test_splits_inside_classes_are_kept(tmp_path: Path) -> None:
    tree = write_places(tmp_path, "good/train good/test broken/train broken/test_data")
    assert list_parts(tree) == {(r, c) for r in ("train", "test") for c in ("good", "broken")}
    assert "read as test: broken/test_data, good/test" in tree.notes


@pytest.mark.parametrize("places", ["train test", "train test1", "train_images val_images"])
def test_splits_of_loose_images_are_refused(tmp_path: Path, places: str) -> None:
    with pytest.raises(DataError, match="labels in file names are not read; sort them into class"):
        write_places(tmp_path, places)


def test_loose_images_beside_splits_are_left_out(tmp_path: Path) -> None:
    tree = write_places(tmp_path, "train/cats train/dogs test")
    assert list_parts(tree) == {("train", "cats"), ("train", "dogs")}
    assert any("1 images of test lie outside of all class folders" in note for note in tree.notes)


@pytest.mark.parametrize(
    ("places", "unclear", "others"),
    [
        ("car bus train/steam train/diesel", "train", "bus, car"),
        ("cats dogs test/cats test/dogs", "test", "cats, dogs"),
    ],
)
def test_what_may_be_a_split_or_a_class_is_asked(
    tmp_path: Path, places: str, unclear: str, others: str
) -> None:
    words = f"{unclear} may be a split or a class.*{others} beside it.*rename.*{unclear}s"
    with pytest.raises(DataError, match=words):
        write_places(tmp_path, places)


@pytest.mark.parametrize(
    "places",
    [
        "freight_train/a freight_train/b test_tube/c car",
        "animals/cat plants/rose",
    ],
)
def test_folders_inside_other_classes_are_no_classes(tmp_path: Path, places: str) -> None:
    tree = write_places(tmp_path, places)
    assert list_parts(tree) == {("", place.partition("/")[0]) for place in places.split()}
    first = re.split(r"\s", places)[0]
    assert any(f"inside their class folder, such as {first}" in note for note in tree.notes)


def test_a_class_of_no_images_does_not_hide_a_split(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "labels")
    tree = write_places(tmp_path, "train/cats train/dogs val_set/cats val_set/dogs")
    assert {role for role, _ in list_parts(tree)} == {"train", "val"}


@pytest.mark.parametrize("places", ["a/x a/y b/x b/y", "trn/cats trn/dogs tst/cats tst/dogs"])
def test_folders_that_hold_the_same_folders_may_be_splits(tmp_path: Path, places: str) -> None:
    with pytest.raises(DataError, match="so they may be splits or classes; name splits train"):
        write_places(tmp_path, places)


def test_one_split_of_loose_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels in file names are not read"):
        write_places(tmp_path, "train")
