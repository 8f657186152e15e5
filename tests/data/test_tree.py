import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.data.tree import scan_tree, show_name, sort_naturally
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
    for place in ("a", "b", ".git", ".ipynb_checkpoints", "__MACOSX", "a/.thumbs"):
        write_image(tmp_path / place / "1.png")
    write_image(tmp_path / "a" / "._1.png")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    tree = scan_tree(tmp_path)
    assert [file.shown for file in tree.files] == ["a/1.png", "b/1.png"]
    assert tree.notes == []


def test_nested_files_belong_to_the_top_class(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "cat" / "old" / "deep" / "1.png")
    write_image(tmp_path / "dog" / "old" / "1.png")
    tree = scan_tree(tmp_path)
    assert [file.class_name for file in tree.files] == ["cat", "dog"]
    assert any("2 images lie in folders inside" in note for note in tree.notes)


def test_role_folders_of_any_case(tmp_path: Path, write_image: Writer) -> None:
    for role in ("Training", "VALID", "dev", "Test"):
        write_image(tmp_path / role / "cat" / "1.png")
    tree = scan_tree(tmp_path)
    assert sorted(file.role for file in tree.files) == ["test", "train", "val", "val"]
    assert any("read as val: dev, VALID" in note for note in tree.notes)


def test_a_folder_beside_the_roles_is_left_out_and_named(
    tmp_path: Path, write_image: Writer
) -> None:
    for place in ("train/cat", "test/cat", "unlabelled"):
        write_image(tmp_path / place / "1.png")
    tree = scan_tree(tmp_path)
    assert [file.shown for file in tree.files] == ["test/cat/1.png", "train/cat/1.png"]
    assert any("left out: unlabelled" in note for note in tree.notes)


def test_a_train_that_runs_on_rails_is_a_class(tmp_path: Path, write_image: Writer) -> None:
    for name in ("bus", "car", "train"):
        write_image(tmp_path / name / "1.png")
    tree = scan_tree(tmp_path)
    assert [(file.class_name, file.role) for file in tree.files] == [
        ("bus", ""),
        ("car", ""),
        ("train", ""),
    ]
    assert any("train: read as classes" in note for note in tree.notes)


def test_names_that_differ_in_case_or_spaces_are_noted(tmp_path: Path, write_image: Writer) -> None:
    for role, name in (("train", "cat"), ("train", "dog"), ("test", "Cat "), ("test", "dog")):
        write_image(tmp_path / role / name / "1.png")
    if not (tmp_path / "test" / "Cat ").exists():
        pytest.skip("this file system does not keep such names")
    assert any("differ only in case" in note for note in scan_tree(tmp_path).notes)


def test_other_files_are_counted(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "2.HEIC").write_bytes(b"x")
    (tmp_path / "a" / "README").write_text("x")
    notes = scan_tree(tmp_path).notes
    assert any("3 files are not images of a known kind" in note for note in notes)
    assert any("1 .heic" in note and "1 no ending" in note for note in notes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_a_circle_end(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "b" / "1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "b" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    tree = scan_tree(tmp_path)
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
    names = {file.class_name for file in scan_tree(tmp_path).files}
    assert names == {"b", "caf\\xe9"}
    assert all(name.encode() for name in names)


def test_two_spellings_of_one_letter_are_one_class() -> None:
    assert show_name("e\u0301te\u0301") == show_name("\u00e9t\u00e9")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(DataError, match="is empty; expected is FOLDER/<class>"):
        scan_tree(tmp_path)


def test_images_without_class_folders_are_refused(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "1.png")
    with pytest.raises(DataError, match="1 images but no class folders"):
        scan_tree(tmp_path)
