import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tellapart.data import load_images
from tellapart.data.cifar import CIFAR10, parse_batch, read_cifar, to_pixels
from tellapart.data.dataset import Dataset
from tellapart.data.named import load_named
from tellapart.errors import DataError


def load(place: Path, name: str = "cifar10") -> Dataset:
    return load_images(name, place)


def make_records(count: int, seed: int = 0) -> np.ndarray:
    records = np.random.default_rng(seed).integers(0, 256, (count, 3073), np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small copy in the binary layout: six batches of ten images."""
    place = tmp_path / "given" / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for number in range(1, 6):
        (place / f"data_batch_{number}.bin").write_bytes(make_records(10, number).tobytes())
    (place / "test_batch.bin").write_bytes(make_records(10, 6).tobytes())
    return place


def test_a_small_copy_is_read_and_named_partial(folder: Path) -> None:
    dataset = load(folder.parent)
    assert dataset.roles == ("train",) * 50 + ("test",) * 10
    assert dataset.classes == CIFAR10.classes
    assert dataset.labels.tolist() == list(range(10)) * 6
    assert "test_batch.bin holds 10 of the official 10,000 images: a partial copy" in dataset.notes
    assert dataset.image_size == 32
    np.testing.assert_array_equal(
        dataset.source.read(np.array([13]))[0, 4, 7], make_records(10, 2)[3, 1:][4 * 32 + 7 :: 1024]
    )


def test_the_folder_itself_is_accepted_too(folder: Path) -> None:
    assert load(folder).fingerprint == load(folder.parent).fingerprint


def test_python_layout_and_archive_give_the_same_dataset(folder: Path, tmp_path: Path) -> None:
    layout = tmp_path / "python" / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    layout.mkdir(parents=True)
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "cifar-10-python.tar.gz", "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
            content = pickle.dumps(
                {"data": records[:, 1:].copy(), "labels": records[:, 0].tolist()}, 2
            )
            (layout / path.stem).write_bytes(content)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{path.stem}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    expected = load(folder).fingerprint
    assert load(tmp_path / "python").fingerprint == expected
    assert load(packed).fingerprint == expected


def test_missing_batches_are_noted(folder: Path) -> None:
    (folder / "data_batch_4.bin").unlink()
    (folder / "test_batch.bin").unlink()
    dataset = load(folder)
    assert set(dataset.roles) == {""}
    assert any("data_batch_4 missing" in note for note in dataset.notes)
    assert any("no official test" in note for note in dataset.notes)


def test_a_test_batch_alone_is_refused(folder: Path) -> None:
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").unlink()
    with pytest.raises(DataError, match="at least one training batch"):
        load(folder)


def test_a_truncated_batch_is_refused(folder: Path) -> None:
    path = folder / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"data_batch_2\.bin is truncated.*fetch cifar10"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "count"), [("data_batch_1.bin", 10_000), ("test_batch.bin", 1000)]
)
def test_other_content_of_official_length_is_refused(folder: Path, name: str, count: int) -> None:
    (folder / name).write_bytes(make_records(count).tobytes())
    with pytest.raises(DataError, match=rf"{name} is altered.*SHA-256.*fetch cifar10"):
        load(folder)


def test_a_given_folder_without_the_data_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-batches-bin.*--data-dir.*fetch cifar10"):
        load(tmp_path)


def test_planes_become_pixels_as_a_loop_would_have_it() -> None:
    records = make_records(2)
    pixels = to_pixels(records)
    for image, row, column, channel in [(0, 0, 0, 0), (1, 31, 2, 1), (1, 5, 30, 2)]:
        expected = records[image, 1 + channel * 1024 + row * 32 + column]
        assert pixels[image, row, column, channel] == expected


def test_the_real_copy_is_official(real_data: Path) -> None:
    dataset = load_named("cifar10", real_data, False)  # without a search for copies
    assert np.bincount(dataset.labels[:50_000]).tolist() == [5000] * 10
    assert dataset.classes == CIFAR10.classes
    assert dataset.roles.count("test") >= 1000
    first = real_data / "cifar-10-batches-bin" / "data_batch_1.bin"
    altered = bytearray(first.read_bytes())
    altered[3073 * 77 + 5] ^= 1
    with pytest.raises(DataError, match="altered"):
        parse_batch("data_batch_1.bin", bytes(altered))


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_python2_pickle(records: np.ndarray) -> bytes:
    """Write the opcodes of a python-2 batch by hand: byte strings, old module names."""

    def text(content: bytes) -> bytes:
        if len(content) < 256:
            return b"U" + bytes([len(content)]) + content
        return b"T" + len(content).to_bytes(4, "little") + content

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little")

    count = len(records)
    dtype = (
        b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR("
        + number(3) + text(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + number(0) + b"tb"
    )  # fmt: skip
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
        + number(0) + b"t" + text(b"b") + b"tR("
        + number(1) + b"(" + number(count) + number(3072) + b"t" + dtype + b"\x89"
        + text(records[:, 1:].tobytes()) + b"tb"
    )  # fmt: skip
    labels = b"(" + b"".join(number(int(label)) for label in records[:, 0]) + b"l"
    return (
        b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels
        + text(b"batch_label") + text(b"training batch 1 of 5") + b"u."
    )  # fmt: skip


def test_the_hand_made_python2_pickle_is_what_numpy_reads() -> None:
    records = make_records(3)
    found = pickle.loads(write_python2_pickle(records), encoding="latin1")
    np.testing.assert_array_equal(found["data"], records[:, 1:])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_python_batches_written_by_python3(protocol: int, order: str) -> None:
    records = make_records(7)
    data = np.asarray(records[:, 1:], order=order)  # type: ignore[call-overload]
    content = pickle.dumps({b"data": data, b"labels": records[:, 0].tolist()}, protocol)
    np.testing.assert_array_equal(parse_batch("data_batch_1", content), records)


def test_python_batches_written_by_python2() -> None:
    records = make_records(20)
    found = parse_batch("data_batch_1", write_python2_pickle(records))
    np.testing.assert_array_equal(found, records)


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_malicious_pickle_runs_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps({"data": Canary(canary), "labels": [1]})
    with pytest.raises(DataError, match=r"data_batch_1 is refused.*open"):
        parse_batch("data_batch_1", content)
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"labels": [1]}),
        pickle.dumps({"labels": [1], "data": np.zeros((1, 5), np.uint8)}),
        pickle.dumps({"labels": [1], "data": np.zeros((1, 3072), np.float32)}),
        pickle.dumps({"labels": [12], "data": np.zeros((1, 3072), np.uint8)}),
        pickle.dumps({"labels": ["a"], "data": np.zeros((1, 3072), np.uint8)}),
        pickle.dumps({"labels": [1], "data": np.zeros((1, 3072), np.uint8)})[:900],
    ],
)
def test_python_batches_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="data_batch_2"):
        parse_batch("data_batch_2", content)


def test_a_truncated_binary_batch_is_named_with_its_size() -> None:
    content = make_records(4).tobytes()[:-1]
    with pytest.raises(DataError, match=r"data_batch_3\.bin is truncated.*12,291 bytes"):
        parse_batch("data_batch_3.bin", content)
    with pytest.raises(DataError, match="truncated"):
        parse_batch("data_batch_3.bin", b"")


def test_a_label_above_nine_means_altered() -> None:
    records = make_records(4)
    records[2, 0] = 10
    with pytest.raises(DataError, match=r"test_batch\.bin is altered.*one is 10"):
        parse_batch("test_batch.bin", records.tobytes())


def test_too_many_records_mean_altered() -> None:
    records = np.zeros((10_001, 3073), np.uint8)
    with pytest.raises(DataError, match="at most 10,000"):
        parse_batch("test_batch.bin", records.tobytes())


def load_tar(path: Path) -> Dataset:
    found = read_cifar(path.parent, CIFAR10)
    assert found is not None
    return found


def test_an_archive_is_read_and_nothing_is_unpacked(tmp_path: Path) -> None:
    good = make_records(5)
    path = write_tar(
        tmp_path / "cifar-10-binary.tar.gz",
        {
            "cifar-10-batches-bin/readme.html": b"<html>",
            "cifar-10-batches-bin/data_batch_1.bin": good.tobytes(),
            "cifar-10-batches-bin/batches.meta.txt": "\n".join("abcdefghij").encode() + b"\n\n",
        },
    )
    found = load_tar(path)
    np.testing.assert_array_equal(found.source.read(np.arange(5)), to_pixels(good))
    assert found.classes == tuple("abcdefghij")
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        info.type = tarfile.SYMTYPE
        info.linkname = "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="holds no CIFAR-10 batch"):
        load_tar(path)


def test_a_python_archive_with_its_class_names(tmp_path: Path) -> None:
    records = make_records(6)
    meta = pickle.dumps({b"label_names": [name.encode() for name in "abcdefghij"]}, 2)
    path = write_tar(
        tmp_path / "cifar-10-python.tar.gz",
        {
            "cifar-10-batches-py/batches.meta": meta,
            "cifar-10-batches-py/data_batch_2": write_python2_pickle(records),
        },
    )
    found = load_tar(path)
    assert found.classes == tuple("abcdefghij")
    np.testing.assert_array_equal(found.source.read(np.arange(6)), to_pixels(records))


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "cifar-10-python.tar.gz", {"a/data_batch_1.bin": make_records(50).tobytes()}
    )
    content = path.read_bytes()
    for damaged in (b"", b"html", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="truncated or damaged"):
            load_tar(path)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    info = tarfile.TarInfo("a/data_batch_1.bin")
    info.size = 2**40
    squeezed = zlib.compressobj(wbits=31)
    path.write_bytes(squeezed.compress(info.tobuf()) + squeezed.flush())
    with pytest.raises(DataError, match="a file in it has 1,099,511,627,776 bytes"):
        load_tar(path)


def pickle_hundred(records: np.ndarray) -> bytes:
    """Write the fields of CIFAR-100's python files, of records with two labels."""
    fields = {
        b"fine_labels": records[:, 1].tolist(),
        b"coarse_labels": records[:, 0].tolist(),
        b"data": records[:, 2:].copy(),
    }
    return pickle.dumps(fields, 2)


NAMES = [f"kind_{number}" for number in range(100)]


def write_hundred(place: Path, form: str) -> None:
    """Write a copy of CIFAR-100: 200 images to train on, 100 of the test."""
    place.mkdir(parents=True)
    for name, count in (("train", 200), ("test", 100)):
        records = np.random.default_rng(count).integers(0, 20, (count, 3074), np.uint8)
        records[:, 1] = np.arange(count) % 100
        path = place / (f"{name}.bin" if form == "binary" else name)
        path.write_bytes(records.tobytes() if form == "binary" else pickle_hundred(records))
    if form == "binary":
        (place / "fine_label_names.txt").write_text("\n".join(NAMES) + "\n")
    else:
        (place / "meta").write_bytes(pickle.dumps({b"fine_label_names": NAMES}, 2))


def test_cifar100_has_its_fine_labels_in_every_form(tmp_path: Path) -> None:
    write_hundred(tmp_path / "binary" / "cifar-100-binary", "binary")
    write_hundred(tmp_path / "python" / "cifar-100-python", "python")
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "python" / "cifar-100-python", "cifar-100-python")
    found = [load(tmp_path / form, "cifar100") for form in ("binary", "python", "packed")]
    assert len({dataset.fingerprint for dataset in found}) == 1
    assert found[0].classes == tuple(NAMES)
    assert found[0].labels.tolist() == [*range(100)] * 3
    assert found[0].roles == ("train",) * 200 + ("test",) * 100
    assert "train.bin holds 200 of the official 50,000 images: a partial copy" in found[0].notes


def test_files_of_like_names_are_no_cifar100(tmp_path: Path) -> None:
    for name in ("train.bin", "test.bin", "train"):
        (tmp_path / name).write_bytes(b"tokens")
    with pytest.raises(DataError, match="is not there"):
        load(tmp_path, "cifar100")


def test_a_whole_file_of_cifar100_must_be_the_official_one(tmp_path: Path) -> None:
    write_hundred(tmp_path / "cifar-100-python", "python")
    records = np.zeros((10_000, 3074), np.uint8)
    (tmp_path / "cifar-100-python" / "test").write_bytes(pickle_hundred(records))
    with pytest.raises(DataError, match=r"test is altered.*fetch cifar100"):
        load(tmp_path, "cifar100")
