import hashlib
from pathlib import Path

import numpy as np
import pytest

from tellapart.data import NAMED, fetch_data, load_images, named
from tellapart.data.named import Named, Published, list_places
from tellapart.errors import DataError


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TELLAPART_DATA", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    with pytest.raises(DataError, match="fetch cifar10"):
        load_images("cifar10", download=False)
    records = np.zeros((60, 3073), np.uint8)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "data_batch_1.bin").write_bytes(records.tobytes())
    monkeypatch.setenv("TELLAPART_DATA", str(tmp_path / "given"))
    assert len(load_images("cifar10", download=False)) == 60


def test_every_entry_is_published_over_https_or_embedded() -> None:
    for name, entry in NAMED.items():
        assert name == "digits" or entry.files
        assert len({file.url for file in entry.files}) == len(entry.files)
        for file in entry.files:
            assert file.url.startswith("https://")
            assert len(bytes.fromhex(file.sha256)) == hashlib.sha256().digest_size


def test_what_is_missing_is_downloaded_and_counted_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tuple(Published(f"https://a.org/{name}", 10, "0" * 64) for name in ("x", "y"))
    wanted: list[Path] = []

    def download(url: str, destination: Path, size: int, sha256: str, progress: object) -> Path:
        assert callable(progress)
        progress(size // 2, size)
        progress(size, size)
        wanted.append(destination)
        return destination

    monkeypatch.setattr(named, "download_file", download)
    monkeypatch.setitem(NAMED, "two", Named(lambda place: None, files, folder="two"))
    seen: list[tuple[int, int]] = []
    found = fetch_data("two", lambda done, total: seen.append((done, total)))
    assert found == tmp_path / "cache" / "data" / "two"
    assert wanted == [found / "x", found / "y"]
    assert seen == [(5, 20), (10, 20), (15, 20), (20, 20)]


def test_without_a_network_all_files_to_fetch_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, destination: Path, *_: object) -> Path:
        raise DataError(f"fetch {url} and put it at {destination}")

    monkeypatch.setattr(named, "download_file", fail)
    with pytest.raises(DataError) as caught:
        fetch_data("fashion-mnist")
    assert all(file.url in str(caught.value) for file in NAMED["fashion-mnist"].files)
