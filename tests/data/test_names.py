"""Names as no one should give them come through every kind of input whole, and harm nothing."""

from __future__ import annotations

import csv
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from tellapart.audit import audit_images
from tellapart.cli import main
from tellapart.data import load_images
from tellapart.data.split import make_split

Writer = Callable[..., Path]
NAMES = (
    "with \"quotes\" and 'more'", "=cmd()", "<img src=x onerror=alert(1)>", "line\nbreak",
    "\u05e9\u05dc\u05d5\u05dd", "up/..", "two  spaces", "100 %", "{{ 7 * 7 }}", "%s",
    "\u202etxt.exe", "$(touch canary)",
)  # fmt: skip
EACH = 6


def list_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.fixture
def photos(tmp_path: Path, write_image: Writer) -> Path:
    """A folder a class, whose files have its name; a slash cannot be in either."""
    root = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        for image in range(EACH):
            own = name.replace("/", "\u2215")
            write_image(root / own / f"{own}{image}.png", 10 * number + image, (24, 20))
    return root


def read_folder(root: Path) -> Path:
    return root


def read_zip(root: Path) -> Path:
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as archive:
        for path in list_files(root):
            archive.write(path, path.relative_to(root.parent))
    return root.with_suffix(".zip")


def read_tar(root: Path) -> Path:
    with tarfile.open(root.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(root, root.name)
    return root.with_suffix(".tar.gz")


def list_rows(root: Path) -> list[dict[str, str]]:
    return [
        {"file": str(path.relative_to(root)), "label": path.parent.name}
        for path in list_files(root)
    ]


def read_csv(root: Path) -> Path:
    rows = list_rows(root)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root / "labels.csv"


def read_jsonl(root: Path) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in list_rows(root))
    (root / "labels.jsonl").write_text(lines, "utf-8")
    return root / "labels.jsonl"


def read_parquet(root: Path) -> Path:
    table = pyarrow.Table.from_pylist(list_rows(root))
    parquet.write_table(table, root / "labels.parquet")
    return root / "labels.parquet"


@pytest.mark.parametrize(
    "read", [read_folder, read_zip, read_tar, read_csv, read_jsonl, read_parquet]
)
def test_each_kind_keeps_odd_names(
    photos: Path, read: Callable[[Path], Path], tmp_path: Path
) -> None:
    dataset = load_images(read(photos))
    shown = {
        name.replace("/", "\u2215").replace("\n", "\\n").replace("\u202e", "\\u202e")
        for name in NAMES
    }
    assert set(dataset.classes) == shown
    assert len(dataset) == len(NAMES) * EACH
    assert len(set(dataset.files)) == len(dataset)
    assert not any("\n" in file or "\u202e" in file for file in dataset.files)
    audit_images(dataset, make_split(dataset), tmp_path / "inspect")


def read_bytes(root: Path) -> Path:
    rows = [
        {"image": {"bytes": path.read_bytes(), "path": path.name}, "label": path.parent.name}
        for path in list_files(root)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "train.parquet")
    return root / "train.parquet"


def read_arrays(root: Path) -> dict[str, NDArray[Any]]:
    images = []
    for path in list_files(root):
        with Image.open(path) as image:
            images.append(np.asarray(image))
    classes = [path.parent.name for path in list_files(root)]
    return {"images": np.stack(images), "labels": np.array(classes)}


def read_npz(root: Path) -> Path:
    trap = np.array([Trap(root.parent / "canary")], object)
    np.savez(root.with_suffix(".npz"), allow_pickle=True, more=trap, **read_arrays(root))
    return root.with_suffix(".npz")


def read_hdf5(root: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(root.with_suffix(".h5"), "w") as file:
        for name, array in read_arrays(root).items():
            file[name] = array if name == "images" else array.astype(h5py.string_dtype())
    return root.with_suffix(".h5")


def read_dicom(root: Path) -> Path:
    pytest.importorskip("pydicom")
    from tests.data.test_dicom import make_file  # here, for it skips itself without the extra

    for path in list_files(root):
        with Image.open(path) as image:
            path.with_suffix(".dcm").write_bytes(make_file(np.asarray(image)))
        path.unlink()
    return root


class Trap:
    """What writes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize(
    "read", [read_folder, read_csv, read_bytes, read_zip, read_npz, read_hdf5, read_dicom]
)
def test_the_page_shows_them_as_text_and_nothing_is_run_or_written_elsewhere(
    photos: Path,
    read: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = read(photos)
    canary = tmp_path / "canary"
    for name in ("__init__.py", "setup.py", "sitecustomize.py"):
        (photos / name).write_text(f"open({str(canary)!r}, 'w')")
    (photos / "model.pkl").write_bytes(pickle.dumps(Trap(canary)))
    monkeypatch.chdir(photos)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["inspect", str(data), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<img src=x" not in page and "&lt;img src=x" in page
    assert "{{ 7 * 7 }}" in page
    assert "\u202e" not in page + capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    new = {path for path in after if path not in before}
    assert all(path.is_relative_to(tmp_path / "out") for path in new)
    assert {path for path in before if path != tmp_path and before[path] != after[path]} == set()
