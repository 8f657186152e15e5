import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tellapart.data import cifar
from tellapart.data.cifar import CLASSES, list_places, load_cifar10, to_pixels
from tellapart.errors import DataError


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
    dataset = load_cifar10(folder.parent)
    assert dataset.roles == ("train",) * 50 + ("test",) * 10
    assert dataset.classes == CLASSES
    assert dataset.labels.tolist() == list(range(10)) * 6
    assert "test_batch.bin holds 10 of the official 10,000 images: a partial copy" in dataset.notes
    assert dataset.image_size == 32
    np.testing.assert_array_equal(
        dataset.source.read(np.array([13]))[0, 4, 7], make_records(10, 2)[3, 1:][4 * 32 + 7 :: 1024]
    )


def test_the_folder_itself_is_accepted_too(folder: Path) -> None:
    assert load_cifar10(folder).fingerprint == load_cifar10(folder.parent).fingerprint


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
    expected = load_cifar10(folder).fingerprint
    assert load_cifar10(tmp_path / "python").fingerprint == expected
    assert load_cifar10(packed).fingerprint == expected


def test_missing_batches_are_noted(folder: Path) -> None:
    (folder / "data_batch_4.bin").unlink()
    (folder / "test_batch.bin").unlink()
    dataset = load_cifar10(folder)
    assert set(dataset.roles) == {""}
    assert any("data_batch_4 missing" in note for note in dataset.notes)
    assert any("no official test" in note for note in dataset.notes)


def test_a_test_batch_alone_is_refused(folder: Path) -> None:
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").unlink()
    with pytest.raises(DataError, match="at least one training batch"):
        load_cifar10(folder)


def test_a_truncated_batch_is_refused(folder: Path) -> None:
    path = folder / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"data_batch_2\.bin is truncated"):
        load_cifar10(folder)


@pytest.mark.parametrize(
    ("name", "count"), [("data_batch_1.bin", 10_000), ("test_batch.bin", 1000)]
)
def test_other_content_of_official_length_is_refused(folder: Path, name: str, count: int) -> None:
    (folder / name).write_bytes(make_records(count).tobytes())
    with pytest.raises(DataError, match=rf"{name} is altered.*SHA-256.*fetch cifar10"):
        load_cifar10(folder)


def test_a_given_folder_without_the_data_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-batches-bin.*--data-dir.*fetch cifar10"):
        load_cifar10(tmp_path)


def test_places_come_in_order(tmp_path: Path) -> None:
    environ = {"TELLAPART_DATA": "/named", "TELLAPART_CACHE": "/cache"}
    places = list_places(environ, tmp_path / "home", tmp_path / "here")
    assert places == [
        Path("/named"),
        Path("/cache/data"),
        tmp_path / "home" / ".keras" / "datasets",
        tmp_path / "here" / "data",
        tmp_path / "home" / "data",
    ]


def test_the_environment_names_a_place_and_nothing_is_downloaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TELLAPART_DATA", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    with pytest.raises(DataError, match="fetch cifar10"):
        load_cifar10(download=False)
    monkeypatch.setenv("TELLAPART_DATA", str(folder.parent))
    assert len(load_cifar10(download=False)) == 60


def test_planes_become_pixels_as_a_loop_would_have_it() -> None:
    records = make_records(2)
    pixels = to_pixels(records)
    for image, row, column, channel in [(0, 0, 0, 0), (1, 31, 2, 1), (1, 5, 30, 2)]:
        expected = records[image, 1 + channel * 1024 + row * 32 + column]
        assert pixels[image, row, column, channel] == expected


def test_the_real_copy_is_official(real_data: Path) -> None:
    dataset = load_cifar10(real_data)
    assert np.bincount(dataset.labels[:50_000]).tolist() == [5000] * 10
    assert dataset.classes == CLASSES
    assert dataset.roles.count("test") >= 1000
    first = real_data / "cifar-10-batches-bin" / "data_batch_1.bin"
    altered = bytearray(first.read_bytes())
    altered[3073 * 77 + 5] ^= 1
    records = np.frombuffer(bytes(altered), np.uint8).reshape(-1, 3073)
    with pytest.raises(DataError, match="altered"):
        cifar._check_official("data_batch_1.bin", "data_batch_1", records)
