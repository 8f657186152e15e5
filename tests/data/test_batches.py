import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tellapart.data.batches import (
    RECORD_BYTES,
    parse_binary,
    parse_python,
    read_archive,
    read_folder,
)
from tellapart.errors import DataError


def make_records(count: int, seed: int = 0) -> np.ndarray:
    records = np.random.default_rng(seed).integers(0, 256, (count, RECORD_BYTES), np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records


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
    np.testing.assert_array_equal(parse_python("data_batch_1", content), records)


def test_python_batches_written_by_python2() -> None:
    records = make_records(20)
    found = parse_python("data_batch_1", write_python2_pickle(records))
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
        parse_python("data_batch_1", content)
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
        parse_python("data_batch_2", content)


def test_a_truncated_binary_batch_is_named_with_its_size() -> None:
    content = make_records(4).tobytes()[:-1]
    with pytest.raises(DataError, match=r"data_batch_3\.bin is truncated.*12,291 bytes.*fetch"):
        parse_binary("data_batch_3.bin", content)
    with pytest.raises(DataError, match="truncated"):
        parse_binary("data_batch_3.bin", b"")


def test_a_label_above_nine_means_altered() -> None:
    records = make_records(4)
    records[2, 0] = 10
    with pytest.raises(DataError, match=r"test_batch\.bin is altered.*one is 10"):
        parse_binary("test_batch.bin", records.tobytes())


def test_too_many_records_mean_altered() -> None:
    records = np.zeros((10_001, RECORD_BYTES), np.uint8)
    with pytest.raises(DataError, match="at most 10,000"):
        parse_binary("test_batch.bin", records.tobytes())


def test_a_folder_without_batches_is_none(tmp_path: Path) -> None:
    assert read_folder(tmp_path) is None


def test_an_archive_is_read_and_strange_members_are_passed_over(tmp_path: Path) -> None:
    good, evil = make_records(5), make_records(5, seed=1)
    path = write_tar(
        tmp_path / "cifar-10-binary.tar.gz",
        {
            "../data_batch_1.bin": evil.tobytes(),
            "/data_batch_2.bin": evil.tobytes(),
            "cifar-10-batches-bin/readme.html": b"<html>",
            "cifar-10-batches-bin/data_batch_1.bin": good.tobytes(),
            "cifar-10-batches-bin/batches.meta.txt": "\n".join("abcdefghij").encode() + b"\n\n",
        },
    )
    found = read_archive(path)
    assert list(found.records) == ["data_batch_1.bin"]
    np.testing.assert_array_equal(found.records["data_batch_1.bin"], good)
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
        read_archive(path)


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
    found = read_archive(path)
    assert found.form == "python"
    assert found.classes == tuple("abcdefghij")
    np.testing.assert_array_equal(found.records["data_batch_2"], records)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "whole.tar.gz", {"a/data_batch_1.bin": make_records(50).tobytes()})
    content = path.read_bytes()
    for number, damaged in enumerate((b"", b"html", content[: len(content) // 2])):
        broken = tmp_path / f"{number}.tar.gz"
        broken.write_bytes(damaged)
        with pytest.raises(DataError, match="truncated or damaged"):
            read_archive(broken)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    info = tarfile.TarInfo("a/data_batch_1.bin")
    info.size = 2**40
    squeezed = zlib.compressobj(wbits=31)
    path.write_bytes(squeezed.compress(info.tobuf()) + squeezed.flush())
    with pytest.raises(DataError, match="not an official"):
        read_archive(path)
