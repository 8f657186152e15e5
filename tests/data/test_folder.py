import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tellapart.data import load_images
from tellapart.data.dataset import resize_dataset
from tellapart.data.decode import decode_image
from tellapart.data.loading import FileSource, choose_size
from tellapart.errors import DataError

Writer = Callable[..., Path]


def test_classes_in_natural_order_and_labels_by_name(folder: Path) -> None:
    dataset = load_images(folder)
    assert dataset.classes == ("1", "2", "10")
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.name == "my-images"
    assert dataset.origin == "folder My Images!: 12 images of 3 classes"
    assert dataset.sizes == {"24x20": 12}
    assert dataset.modes == {"RGB": 12}
    assert (dataset.image_size, dataset.channels) == (20, 3)
    assert str(folder.parent) not in repr(dataset.notes) + dataset.origin
    assert not dataset.source.streamed


def test_pixels_are_the_reference_decoder_s(folder: Path) -> None:
    source = load_images(folder).source
    rows = np.array([5, 0, 11])
    files = [folder / "2" / "1.png", folder / "1" / "0.png", folder / "10" / "3.png"]
    for size in (None, 20, 32):
        expected = np.stack([decode_image(path.read_bytes(), size or 20, 3) for path in files])
        np.testing.assert_array_equal(source.read(rows, size), expected)


def test_streamed_and_held_give_the_same(folder: Path) -> None:
    held, streamed = load_images(folder), load_images(folder, memory_limit=100)
    assert streamed.source.streamed
    rows = np.arange(12)
    np.testing.assert_array_equal(held.source.read(rows), streamed.source.read(rows))
    assert held.fingerprint == streamed.fingerprint


def test_moving_the_folder_keeps_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    before = load_images(folder).fingerprint
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other")
    assert load_images(moved).fingerprint == before


@pytest.mark.parametrize("memory_limit", [None, 0])
def test_an_unreadable_image_is_left_out_with_its_reason(
    folder: Path, memory_limit: int | None
) -> None:
    good = load_images(folder)
    whole = (folder / "1" / "0.png").read_bytes()
    (folder / "1" / "00.png").write_bytes(whole[: len(whole) // 2])
    (folder / "2" / "page.jpg").write_text("<html>not found</html>")
    (folder / "10" / "0.gif").write_bytes(b"")
    dataset = load_images(folder, memory_limit=memory_limit)
    assert {item.path for item in dataset.excluded} == {"1/00.png", "2/page.jpg", "10/0.gif"}
    reasons = {item.path: item.reason for item in dataset.excluded}
    assert "damaged" in reasons["1/00.png"]
    assert "not an image" in reasons["2/page.jpg"]
    assert dataset.fingerprint == good.fingerprint
    rows = np.arange(12)
    np.testing.assert_array_equal(dataset.source.read(rows), good.source.read(rows))


def test_grey_only_if_all_are_grey(tmp_path: Path, write_image: Writer) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / name / "1.png", mode="L")
    assert load_images(tmp_path).channels == 1
    write_image(tmp_path / "b" / "2.png", 2)
    assert load_images(tmp_path).channels == 3


def test_split_folders_match_classes_by_name(tmp_path: Path, write_image: Writer) -> None:
    places = ("train/cat", "train/dog", "train/10", "test/dog", "test/cat", "val/dog")
    for seed, place in enumerate(places):
        write_image(tmp_path / place / "1.png", seed)
    dataset = load_images(tmp_path)
    assert dataset.classes == ("10", "cat", "dog")
    found = {
        (role, dataset.classes[label])
        for role, label in zip(dataset.roles, dataset.labels, strict=True)
    }
    assert found == {tuple(place.split("/")) for place in places}
    assert "test has no images of: 10" in dataset.notes
    assert "val has no images of: 10, cat" in dataset.notes


def test_a_class_that_train_lacks_is_refused(tmp_path: Path, write_image: Writer) -> None:
    for place in ("train/cat", "train/dog", "test/dogs"):
        write_image(tmp_path / place / "1.png")
    with pytest.raises(DataError, match=r"test alone has 'dogs'; did you mean 'dog'\?"):
        load_images(tmp_path)


def test_a_test_folder_alone_is_refused(tmp_path: Path, write_image: Writer) -> None:
    for place in ("test/cat", "test/dog"):
        write_image(tmp_path / place / "1.png")
    with pytest.raises(DataError, match="no images to train on"):
        load_images(tmp_path)


def test_one_class_is_refused(tmp_path: Path, write_image: Writer) -> None:
    write_image(tmp_path / "only" / "1.png")
    with pytest.raises(DataError, match=r"two classes or more, but has one \(only\)"):
        load_images(tmp_path)


def test_no_readable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no readable images"):
        load_images(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 left out, such as a/1\.png: not an .*; save them anew"):
        load_images(tmp_path)


def test_a_class_of_which_nothing_can_be_read_is_said(folder: Path) -> None:
    (folder / "fish").mkdir()
    (folder / "fish" / "1.png").write_bytes(b"x")
    dataset = load_images(folder)
    assert "classes left out, for none of their images can be read: fish" in dataset.notes


def test_a_huge_image_is_left_out_not_fatal(folder: Path) -> None:
    image = Image.new("1", (10_000, 9_500))
    image.save(folder / "1" / "huge.png")
    dataset = load_images(folder)
    assert [item.path for item in dataset.excluded] == ["1/huge.png"]
    assert "80,000,000" in dataset.excluded[0].reason


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO on Windows")
@pytest.mark.parametrize("memory_limit", [None, 0])
def test_a_fifo_is_left_out(folder: Path, memory_limit: int | None) -> None:
    os.mkfifo(folder / "1" / "x.png")
    dataset = load_images(folder, memory_limit=memory_limit)
    assert len(dataset) == 12
    assert [(item.path, item.reason) for item in dataset.excluded] == [
        ("1/x.png", "not a regular file")
    ]


def test_a_lack_of_memory_ends_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(MemoryError):
        load_images(folder)


def test_too_few_open_files_leave_no_image_out(folder: Path) -> None:
    code = (
        "import resource, sys; from tellapart.data import load_images;"
        "load_images(__import__('pathlib').Path(sys.argv[1]));"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3));"
        "load_images(__import__('pathlib').Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True)
    last = done.stderr.decode().strip().rpartition("\n")[2]
    assert "DataError" in last and "could not be read just now (Too many open files)" in last


@pytest.mark.parametrize(
    ("sides", "size", "words"),
    [
        ([150], 64, "at most 64 px"),
        ([28, 28, 90], 28, "28 px (median)"),
        ([63], 60, "rounded down"),
        ([13], 13, "13 px (median)"),
        ([3], 8, "at least 8 px"),
        ([64], 64, "64 px (median)"),
    ],
)
def test_the_size_follows_from_the_shorter_sides(sides: list[int], size: int, words: str) -> None:
    found, reason = choose_size(sides)
    assert found == size
    assert reason.startswith(f"{size} px: ")
    assert words in reason


def test_the_real_photographs(real_data: Path) -> None:
    dataset = load_images(real_data / "trashnet")
    assert len(dataset) == 2527
    assert dataset.classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert np.bincount(dataset.labels).tolist() == [403, 501, 410, 594, 482, 137]
    assert dataset.size_reason == (
        "64 px: the images' shorter sides are 150 px (median), "
        "and networks from scratch see at most 64 px"
    )
    assert dataset.excluded == ()


def test_a_file_that_went_away_is_named(folder: Path) -> None:
    dataset = load_images(folder)
    (folder / "1" / "2.png").unlink()
    assert dataset.source.read(np.array([2])).shape == (1, 20, 20, 3)
    with pytest.raises(DataError, match=r"2\.png"):
        dataset.source.read(np.array([2]), 64)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO on Windows")
def test_a_file_that_became_a_fifo_is_refused(folder: Path) -> None:
    dataset = load_images(folder, memory_limit=0)
    (folder / "1" / "2.png").unlink()
    os.mkfifo(folder / "1" / "2.png")
    with pytest.raises(DataError, match=r"1/2\.png: not a regular file"):
        dataset.source.read(np.arange(12))


def test_a_file_that_changed_after_loading_is_refused(folder: Path) -> None:
    dataset = load_images(folder, memory_limit=0)
    shutil.copy(folder / "10" / "0.png", folder / "1" / "2.png")
    with pytest.raises(DataError, match=r"1/2\.png: its content has changed .*start again"):
        dataset.source.read(np.arange(12))
    with pytest.raises(DataError, match=r"1/2\.png"):
        resize_dataset(dataset, 32).source.read(np.array([2]))


def test_reading_nothing_gives_nothing(tmp_path: Path) -> None:
    assert FileSource([], [], [], 8, 3).read(np.array([], np.int64)).shape == (0, 8, 8, 3)
