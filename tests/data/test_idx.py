import gzip
from pathlib import Path

import numpy as np
import pytest

from tellapart.data import load_images
from tellapart.data.idx import parse_idx
from tellapart.errors import DataError

RAW = {"train": 30, "t10k": 20}


def pack(values: np.ndarray) -> bytes:
    """Write bytes as an idx file."""
    head = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    return head + values.tobytes()


def make_images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)


def write_copy(place: Path, ending: str = ".gz", dotted: bool = False) -> Path:
    place.mkdir(parents=True)
    for name, count in RAW.items():
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", make_images(count)), ("labels-idx1", labels)):
            stem = f"{name}-{kind}-ubyte"
            path = place / f"{stem.replace('-idx', '.idx') if dotted else stem}{ending}"
            path.write_bytes(gzip.compress(pack(values)) if ending else pack(values))
    return place


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize(
    ("folder", "ending", "dotted"),
    [(".", ".gz", False), ("{}/raw", "", False), ("{}", ".gz", True), ("own", "", True)],
)
def test_a_copy_is_read_however_it_lies(
    tmp_path: Path, name: str, folder: str, ending: str, dotted: bool
) -> None:
    theirs = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name]
    place = tmp_path / "given" / (name if folder == "own" else folder.format(theirs))
    write_copy(place, ending, dotted)
    dataset = load_images(name, tmp_path / "given")
    assert dataset.roles == ("train",) * 30 + ("test",) * 20
    assert dataset.labels.tolist() == [*range(10)] * 5
    assert (dataset.image_size, dataset.channels, dataset.modes) == (28, 1, {"L": 50})
    np.testing.assert_array_equal(dataset.source.read(np.arange(30, 50))[..., 0], make_images(20))
    assert "train has 30 of the official 60,000 images: a partial copy" in dataset.notes
    assert dataset.classes[:2] == {"m": ("0", "1"), "f": ("T-shirt/top", "Trouser")}[name[0]]


def test_without_a_test_one_is_carved_out(tmp_path: Path) -> None:
    place = write_copy(tmp_path / "mnist")
    for path in place.glob("t10k*"):
        path.unlink()
    dataset = load_images("mnist", tmp_path)
    assert set(dataset.roles) == {""}
    assert any("no official test" in note for note in dataset.notes)


def test_files_of_one_name_are_told_apart_by_their_content(tmp_path: Path) -> None:
    place = write_copy(tmp_path / "mnist")
    labels = pack(np.zeros(10_000, np.uint8))
    (place / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    with pytest.raises(DataError, match=r"t10k-labels.*another data set.*fetch mnist"):
        load_images("mnist", tmp_path)


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    (write_copy(tmp_path / "mnist") / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataError, match=r"must hold both train-images-idx3-ubyte and train-labels-idx1-"
    ):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no idx file"),
        (b"<html>", "no idx file"),
        (b"\0\0\x0d\x01" + bytes(8), "no idx file"),  # of fractions
        (b"\0\0\x08\x03" + bytes(8), "no idx file"),
        (b"\0\0\x08\x01" + bytes(4), "truncated"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "truncated: it must have 79,"),
        (pack(make_images(3))[:-1], "truncated: it must have 2,352 values, but has 2,351"),
    ],
)
def test_what_is_no_idx_file_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_idx("train-images", content)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((30, 8, 8), np.uint8), r"28 x 28 images.*\(30, 8, 8\)"),
        (np.zeros((29, 28, 28), np.uint8), r"each with a label.*\(29, 28, 28\)"),
    ],
)
def test_images_of_another_shape_are_refused(tmp_path: Path, values: np.ndarray, said: str) -> None:
    place = write_copy(tmp_path / "mnist")
    (place / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(pack(values)))
    with pytest.raises(DataError, match=said):
        load_images("mnist", tmp_path)


def test_a_label_above_nine_is_refused(tmp_path: Path) -> None:
    place = write_copy(tmp_path / "mnist", ending="")
    (place / "train-labels-idx1-ubyte").write_bytes(pack(np.full(30, 11, np.uint8)))
    with pytest.raises(DataError, match="one in train is 11"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"html", gzip.compress(bytes(5000), mtime=0)[:-20]])
def test_a_damaged_archive_is_refused(tmp_path: Path, damaged: bytes) -> None:
    place = write_copy(tmp_path / "mnist")
    (place / "t10k-images-idx3-ubyte.gz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"t10k-images.*(truncated or damaged|no idx file)"):
        load_images("mnist", tmp_path)


def test_a_bomb_is_read_no_further_than_a_whole_file(tmp_path: Path) -> None:
    place = write_copy(tmp_path / "mnist")
    (place / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(80 * 2**20), 1))
    with pytest.raises(DataError, match="no idx file"):
        load_images("mnist", tmp_path)
