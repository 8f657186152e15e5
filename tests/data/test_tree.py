import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.config import ReadSettings
from tellapart.data import load_images
from tellapart.data.listing import show_name, sort_naturally
from tellapart.data.tree import scan_folder
from tellapart.errors import DataError

Writer = Callable[..., Path]


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"class {number}" for number in numbers]
    assert sorted(names, key=sort_naturally) == [f"class {number}" for number in sorted(numbers)]


@given(st.lists(st.text()))
def test_any_names_have_one_order(names: list[str]) -> None:
    turned = names[::-1]
    assert sorted(names, key=sort_naturally) == sorted(turned, key=sort_naturally)


def test_hidden_things_and_droppings_are_passed_over(tmp_path: Path, write_image: Writer) -> None:
    storage = ("$RECYCLE.BIN", "#recycle", "a/@eaDir/1.png", "System Volume Information")
    for place in ("a", "b", ".git", "__MACOSX", "a/.thumbs", "lost+found", *storage):
        write_image(tmp_path / place / "1.png")
    write_image(tmp_path / "a" / "._1.png")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    tree = scan_folder(tmp_path)
    assert [file.shown for file in tree.files] == ["a/1.png", "b/1.png"]
    assert tree.notes == []


def test_nested_files_belong_to_the_top_class(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "cat" / "old" / "deep" / "1.png")
    write_image(tmp_path / "dog" / "old" / "1.png")
    tree = scan_folder(tmp_path)
    assert [file.class_name for file in tree.files] == ["cat", "dog"]
    assert any("2 images lie in folders inside" in note for note in tree.notes)


def test_role_folders_of_any_case(tmp_path: Path, write_image: Writer) -> None:
    for role in ("Training", "VALID", "dev", "Test"):
        write_image(tmp_path / role / "cat" / "1.png")
    tree = scan_folder(tmp_path)
    assert sorted(file.role for file in tree.files) == ["test", "train", "val", "val"]
    assert any("read as val: dev, VALID" in note for note in tree.notes)


def test_a_folder_beside_the_roles_is_left_out_and_named(
    tmp_path: Path, write_image: Writer
) -> None:
    for place in ("train/cat", "test/cat", "unlabelled"):
        write_image(tmp_path / place / "1.png")
    tree = scan_folder(tmp_path)
    assert [file.shown for file in tree.files] == ["test/cat/1.png", "train/cat/1.png"]
    assert any("left out: unlabelled" in note for note in tree.notes)


def test_a_train_that_runs_on_rails_is_a_class(tmp_path: Path, write_image: Writer) -> None:
    for name in ("bus", "car", "train"):
        write_image(tmp_path / name / "1.png")
    tree = scan_folder(tmp_path)
    assert [(file.class_name, file.role) for file in tree.files] == [
        ("bus", ""),
        ("car", ""),
        ("train", ""),
    ]
    assert any("train: read as classes" in note for note in tree.notes)


def test_classes_that_differ_in_case_or_spaces_between_splits_are_joined(
    tmp_path: Path, write_image: Writer
) -> None:
    for place in ("train/cat", "train/dog", "test/Cat ", "test/DOG", "val/dog"):
        write_image(tmp_path / place / "1.png")
    listing = scan_folder(tmp_path)
    assert {(file.role, file.class_name) for file in listing.files} == {
        ("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog"), ("val", "dog"),
    }  # fmt: skip
    words = "alone are joined: 'test/Cat ' as 'cat', 'test/DOG' as 'dog'"
    assert any(words in note for note in listing.notes)


def test_names_that_differ_in_case_within_a_split_are_noted(
    tmp_path: Path, write_image: Writer
) -> None:
    for name in ("cat", "Cat", "dog"):
        write_image(tmp_path / name / "1.png")
    if len(os.listdir(tmp_path)) < 3:
        pytest.skip("this file system does not keep such names")
    listing = scan_folder(tmp_path)
    assert len({file.class_name for file in listing.files}) == 3
    assert any("'Cat' and 'cat' differ only in case" in note for note in listing.notes)


def test_other_files_are_counted(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "2.CR2").write_bytes(b"x")
    (tmp_path / "a" / "README").write_text("x")
    notes = scan_folder(tmp_path).notes
    assert any("3 files are not images in JPEG" in note for note in notes)
    assert any("1 .cr2" in note and "1 no ending" in note for note in notes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_a_circle_end(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "b" / "1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "b" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    tree = scan_folder(tmp_path)
    assert [file.shown for file in tree.files] == ["a/1.png", "b/1.png"]
    assert [item.reason for item in tree.excluded] == ["a link to nothing"]
    assert sum("already read" in note for note in tree.notes) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only here may a name be any bytes")
def test_names_of_any_bytes_become_text(tmp_path: Path, write_image: Writer) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    os.link(write_image(tmp_path / "b" / "1.png"), odd / "1.png")
    names = {file.class_name for file in scan_folder(tmp_path).files}
    assert names == {"b", "caf\\xe9"}
    assert all(name.encode() for name in names)


def test_two_spellings_of_one_letter_are_one_class() -> None:
    assert show_name("e\u0301te\u0301") == show_name("\u00e9t\u00e9")


def test_control_characters_are_shown_as_text() -> None:
    assert show_name("a\x1b]0;\nb\u202ec") == r"a\x1b]0;\nb\u202ec"
    assert show_name("\u732b \U0001f469\u200d\U0001f680") == "\u732b \U0001f469\u200d\U0001f680"


@pytest.mark.skipif(sys.platform == "win32", reason="no such names on Windows")
def test_no_name_of_the_tree_has_a_control_character(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "a\nb" / "\x1b[2J.png")
    write_image(tmp_path / "c" / "1.png")
    os.mkfifo(tmp_path / "c" / "\x07.png")
    (tmp_path / "c" / "x.\x1b").touch()
    assert str(scan_folder(tmp_path)).isprintable()


def test_two_folders_read_as_one_class_are_noted(tmp_path: Path, write_image: Writer) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        write_image(tmp_path / name / "1.png")
    if len(os.listdir(tmp_path)) < 2:
        pytest.skip("this file system keeps one Unicode form")
    words = r"'cafe\u0301' and 'caf\xe9' differ only in Unicode form: read as one class"
    assert any(words in note for note in scan_folder(tmp_path).notes)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO on Windows")
def test_what_is_no_regular_file_is_left_out(tmp_path: Path, write_image: Writer) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / name / "1.png")
    os.mkfifo(tmp_path / "a" / "fifo.png")
    for number, target in enumerate(("/dev/zero", "/dev/stdin", "fifo.png")):
        (tmp_path / "a" / f"link{number}.png").symlink_to(target)
    tree = scan_folder(tmp_path, ReadSettings(follow_links=True))
    assert [file.shown for file in tree.files] == ["a/1.png", "b/1.png"]
    odd = {item.path: item.reason for item in tree.excluded}
    assert odd["a/fifo.png"] == odd["a/link0.png"] == odd["a/link2.png"] == "not a regular file"


@pytest.fixture
def linked(tmp_path: Path, write_image: Writer) -> Path:
    """Classes a and b of an image each, and links: one to a file and one to a folder elsewhere."""
    root, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for place in (root / "a", root / "b", elsewhere / "c"):
        write_image(place / "1.png")
    (root / "a" / "2.png").symlink_to(elsewhere / "c" / "1.png")
    (root / "c").symlink_to(elsewhere / "c")
    (root / "b" / "2.png").symlink_to(root / "a" / "1.png")
    (root / "readme.md").symlink_to(elsewhere)
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_out_of_the_folder_are_followed_only_when_said(linked: Path) -> None:
    tree = scan_folder(linked)
    assert [file.shown for file in tree.files] == ["a/1.png", "b/1.png", "b/2.png"]
    assert any(re.search("lead out .*left out: 3, .* --follow-links", note) for note in tree.notes)
    (linked / "readme.md").unlink()
    tree = scan_folder(linked, ReadSettings(follow_links=True))
    assert [file.shown for file in tree.files][-1] == "c/1.png"
    assert len(tree.files) == 5
    assert not any("lead out" in note for note in tree.notes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_the_folder_itself_may_be_a_link(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(linked)
    assert len(scan_folder(tmp_path / "link").files) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("folders", [True, False])
def test_where_all_are_links_the_flag_is_named(
    tmp_path: Path, write_image: Writer, folders: bool
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        image = write_image(tmp_path / "all" / name / "1.png")
        if folders:
            (tmp_path / "photos" / name).symlink_to(image.parent)
        else:
            (tmp_path / "photos" / name).mkdir()
            (tmp_path / "photos" / name / "1.png").symlink_to(image)
    with pytest.raises(DataError, match=r"lead out .*left out: 2, .* --follow-links"):
        load_images(tmp_path / "photos")
    assert len(load_images(tmp_path / "photos", read=ReadSettings(follow_links=True))) == 2


def test_results_inside_the_data_are_passed_over(tmp_path: Path, write_image: Writer) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / name / "1.png")
    before = load_images(tmp_path).fingerprint
    for place in ("runs/photos-study-1", "b/out"):
        write_image(tmp_path / place / "inspect" / "samples.png")
        (tmp_path / place / "identity.json").write_text("{}")
    after = load_images(tmp_path)
    assert (after.fingerprint, after.classes) == (before, ("a", "b"))
    words = "passed over are tellapart's own results: b/out, runs/photos-study-1"
    assert after.notes == (words,)


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter on Windows")
def test_folders_may_be_nested_deeply(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "b" / "1.png")
    deep = [tmp_path / "a"]
    while len(deep) < 1500:
        deep.append(deep[-1] / "d")
    for folder in deep:
        folder.mkdir()
    try:
        image = write_image(deep[-1] / "1.png")
        assert len(scan_folder(tmp_path).files) == 2
        image.unlink()
    finally:
        for folder in reversed(deep):
            folder.rmdir()


def test_what_cannot_be_read_is_named_where_nothing_can(tmp_path: Path) -> None:
    for number, name in enumerate(("cats/1.NEF", "cats/2.nef", "dogs/1.cr2", "dogs/3")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(number))
    with pytest.raises(DataError, match=r"JPEG, PNG.*: 2 \.nef, 1 \.cr2, 1 no ending"):
        load_images(tmp_path)
    loose = tmp_path / "cats"
    with pytest.raises(DataError, match=r"has no images \(2 files are not .*: 2 \.nef"):
        load_images(loose)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions on Windows")
def test_what_may_not_be_read_is_left_out(nobody: Path, write_image: Writer) -> None:
    for place in ("a", "b", "closed", "listed/inner"):
        write_image(nobody / place / "1.png")
    write_image(nobody / "listed" / "2.png")
    (nobody / "listed" / "link.png").symlink_to("2.png")
    (nobody / "closed").chmod(0)
    (nobody / "listed").chmod(0o400)
    (nobody / "b" / "2.png").symlink_to("../a/1.png")
    dataset = load_images(nobody)
    assert (dataset.classes, len(dataset)) == (("a", "b"), 3)
    left = {item.path: item.reason for item in dataset.excluded}
    assert left.keys() == {"closed", "listed/2.png", "listed/link.png", "listed/inner"}
    assert all("cannot be read (Permission denied)" in reason for reason in left.values())


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(DataError, match="is empty; expected is FOLDER/<class>"):
        scan_folder(tmp_path)


def test_images_without_class_folders_are_refused(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "1.png")
    with pytest.raises(DataError, match="1 image but no class folders"):
        scan_folder(tmp_path)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"has no images \(1 file is not an image in .* 1 \.txt\)"):
        scan_folder(tmp_path)


def test_a_folder_of_results_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "inspect").mkdir()
    (tmp_path / "inspect" / "samples.png").touch()
    (tmp_path / "identity.json").write_text("{}")
    with pytest.raises(DataError, match="holds results; give the folder of images"):
        scan_folder(tmp_path)
