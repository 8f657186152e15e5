import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import ReadSettings
from tellapart.data import load_images
from tellapart.data.layout import find_role
from tellapart.data.listing import Listing
from tellapart.data.tree import scan_folder
from tellapart.errors import DataError, SettingError

Writer = Callable[..., Path]


def write_places(root: Path, places: str) -> Listing:
    """Write an image, in name, into each place, and look at the whole."""
    for place in places.split():
        (root / place).mkdir(parents=True)
        (root / place / "cat.0.png").touch()
    return scan_folder(root)


def list_parts(tree: Listing) -> set[tuple[str, str]]:
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
    with pytest.raises(DataError, match="add --label-from; else sort them into class folders"):
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
    with pytest.raises(DataError, match=r"train must hold class folders.* add --label-from"):
        write_places(tmp_path, "train")


@pytest.mark.parametrize("places", ["photos/cats photos/dogs", "a/b/cats a/b/dogs docs"])
def test_one_folder_that_holds_all_is_entered(tmp_path: Path, places: str) -> None:
    """A folder doubled by unpacking; the root of a repository."""
    listing = write_places(tmp_path, places)
    assert list_parts(listing) == {("", "cats"), ("", "dogs")}
    within = "photos" if "photos" in places else "a/b"
    assert f"read is the folder {within}, for it alone holds class folders" in listing.notes


def test_one_folder_that_holds_splits_is_entered(tmp_path: Path) -> None:
    listing = write_places(
        tmp_path, "data/train/cats data/train/dogs data/test/cats data/test/dogs"
    )
    assert {role for role, _ in list_parts(listing)} == {"train", "test"}


FINE = "animals/cat animals/dog plants/rose plants/oak/young"


def test_classes_at_two_levels_are_asked_about(tmp_path: Path) -> None:
    words = r"2 top folders \(animals, plants\) or the 4 .*\(cat, dog, rose, young\); add --level"
    with pytest.raises(DataError, match=words):
        write_places(tmp_path, FINE)


@pytest.mark.parametrize(
    ("level", "classes"),
    [
        ("top", "animals plants"),
        ("1", "animals plants"),
        ("2", "cat dog oak rose"),
        ("leaf", "cat dog rose young"),
    ],
)
def test_a_level_says_where_classes_lie(tmp_path: Path, level: str, classes: str) -> None:
    for place in FINE.split():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").touch()
    listing = scan_folder(tmp_path, ReadSettings(level=level))
    assert {file.class_name for file in listing.files} == set(classes.split())
    assert len(listing.files) == 4


def test_leaf_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("cat/young", "cat/old", "dog/young", "dog/puppy"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").touch()
    listing = scan_folder(tmp_path, ReadSettings(level="leaf"))
    names = {file.class_name for file in listing.files}
    assert names == {"cat/young", "dog/young", "old", "puppy"}


def test_a_level_is_in_each_split(tmp_path: Path) -> None:
    for place in ("train/animals/cat", "train/plants/rose", "test/animals/cat", "test/plants/rose"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").touch()
    listing = scan_folder(tmp_path, ReadSettings(level="leaf"))
    assert list_parts(listing) == {(r, c) for r in ("train", "test") for c in ("cat", "rose")}


def test_a_level_must_be_one() -> None:
    with pytest.raises(SettingError, match=r"level must be top, leaf, or a number .* got 'deep'"):
        ReadSettings(level="deep")


NAMED = {
    "cat.{}.jpg dog.{}.jpg": ("cat 6, dog 6", "cat.0.jpg"),
    "obj1__{}.png obj2__{}.png obj10__{}.png": ("obj1 6, obj2 6, obj10 6", "obj1__0.png"),
    "English_Cocker_{}.jpg pug_{}.jpg": ("English_Cocker 6, pug 6", "pug_0.jpg"),
}


@pytest.mark.parametrize("names", NAMED)
def test_labels_in_names_of_files_are_proposed_and_read(tmp_path: Path, names: str) -> None:
    for name in names.split():
        for number in range(6):
            (tmp_path / name.format(number)).touch()
    listed, _ = NAMED[names]
    with pytest.raises(DataError, match="no class folders") as error:
        scan_folder(tmp_path)
    proposal = re.search(
        r"--label-from '(.*?)' would give (\d) classes \((.*?)\)", str(error.value)
    )
    assert proposal and proposal[3] == listed
    listing = scan_folder(tmp_path, ReadSettings(label_from=proposal[1]))
    assert ", ".join(f"{name} 6" for name in dict.fromkeys(
        file.class_name for file in listing.files
    )) == listed  # fmt: skip


def test_faces_without_endings_are_read_and_labelled(tmp_path: Path, write_image: Writer) -> None:
    """The part after the dot is a mood; each file is a GIF by its content."""
    for person in range(1, 4):
        for number, mood in enumerate(("happy", "sad", "wink")):
            made = write_image(tmp_path / "made.gif", 10 * person + number)
            made.rename(tmp_path / f"subject{person:02}.{mood}")
    dataset = load_images(tmp_path, read=ReadSettings(label_from=r"(subject\d+)\."))
    assert dataset.classes == ("subject01", "subject02", "subject03")
    moods = load_images(tmp_path, read=ReadSettings(label_from=r"\.(\w+)$"))
    assert moods.classes == ("happy", "sad", "wink")


def test_labels_in_names_keep_the_splits_of_folders(tmp_path: Path) -> None:
    for name in ("train/cat.0.jpg", "train/dog.0.jpg", "valid/cat.1.jpg", "test/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = scan_folder(tmp_path, ReadSettings(label_from=r"([a-z]+)\.\d+\.jpg"))
    assert list_parts(listing) == {("train", "cat"), ("train", "dog"), ("val", "cat")}
    assert any("1 images, such as test/1.jpg, do not match" in note for note in listing.notes)
    with pytest.raises(DataError, match=r"--label-from must match .* mend it"):
        scan_folder(tmp_path, ReadSettings(label_from="horse"))
    with pytest.raises(SettingError, match=r"label_from must be a regular expression"):
        ReadSettings(label_from="(")


def test_small_classes_are_left_out_when_asked(tmp_path: Path, write_image: Writer) -> None:
    for name, count in (("a", 4), ("b", 5), ("c", 1)):
        for number in range(count):
            write_image(tmp_path / name / f"{number}.png", number)
    dataset = load_images(tmp_path, read=ReadSettings(min_images=4))
    assert dataset.classes == ("a", "b") and len(dataset) == 9
    assert "classes of fewer than 4 images left out: c (1)" in dataset.notes
    with pytest.raises(
        DataError, match=r"must leave two classes, but got 50, .* have 5 and 4 .* ask for 4 at most"
    ):
        load_images(tmp_path, read=ReadSettings(min_images=50))
