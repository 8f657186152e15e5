"""CIFAR-10: find a copy, check it against the official content, and say what it lacks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tellapart.data.batches import (
    BATCHES,
    REMEDY,
    TEST_BATCH,
    TRAIN_BATCHES,
    WHOLE,
    Batches,
    Records,
    read_archive,
    read_folder,
)
from tellapart.data.dataset import ArraySource, Dataset, Pixels, hash_pixels
from tellapart.data.download import Progress, download_file
from tellapart.errors import DataError
from tellapart.workspace import expand_path, locate_cache

DATA_VARIABLE = "TELLAPART_DATA"
ARCHIVE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_BYTES = 170_498_071
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

FOLDERS = (
    ".",
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    "cifar-10-batches-py-target/cifar-10-batches-py",
)
ARCHIVES = ("cifar-10-binary.tar.gz", ARCHIVE, "cifar-10-batches-py.tar.gz")
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

# SHA-256 of the official records, whatever the form they are stored in.
OFFICIAL = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
}
TEST_START = 1000
OFFICIAL_TEST_START = "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5"


def load_cifar10(
    data_dir: Path | None = None, download: bool = True, progress: Progress | None = None
) -> Dataset:
    """Read CIFAR-10: 32 x 32 colour images of ten classes, 50,000 train and 10,000 test.

    Looks in ``data_dir`` alone if given; else in ``TELLAPART_DATA``, tellapart's cache and
    the copies that Keras and torchvision leave; then downloads, if allowed.

    Raises:
        DataError: no copy is found, or one is truncated or altered.
    """
    places = [data_dir] if data_dir else list_places(os.environ, Path.home(), Path.cwd())
    for place in places:
        found = _read_place(expand_path(place))
        if found is not None:
            return assemble_dataset(found)
    if data_dir is None and download:
        return assemble_dataset(read_archive(fetch_cifar10(progress)))
    names = ", ".join((*FOLDERS[1:3], *ARCHIVES[:2]))
    remedy = "give its folder with --data-dir" if data_dir is None else "name another --data-dir"
    raise DataError(
        f"cifar10 must lie in one of {', '.join(map(str, places))} as one of {names}, "
        f"but is not there; {remedy}, or run: tellapart fetch cifar10"
    )


def fetch_cifar10(progress: Progress | None = None) -> Path:
    """Download CIFAR-10 into tellapart's cache, unless it is there; return the archive's path.

    Raises:
        DataError: no network, no space, or the content is not the official one.
    """
    destination = locate_cache() / "data" / ARCHIVE
    return download_file(URL, destination, ARCHIVE_BYTES, ARCHIVE_SHA256, progress)


def list_places(environ: Mapping[str, str], home: Path, here: Path) -> list[Path]:
    """Return the folders that are searched for named data, in order."""
    keras = Path(environ.get("KERAS_HOME") or home / ".keras")
    named = environ.get(DATA_VARIABLE)
    return [
        *([Path(named)] if named else []),
        locate_cache(dict(environ)) / "data",
        keras / "datasets",
        here / "data",
        home / "data",
    ]


def assemble_dataset(batches: Batches) -> Dataset:
    """Check the batches, join them, and note what is missing.

    Raises:
        DataError: there is no training batch, or a batch is not the official one.
    """
    by_stem = {name.removesuffix(".bin"): name for name in batches.records}
    present = [stem for stem in BATCHES if stem in by_stem]
    if not set(present) & set(TRAIN_BATCHES):
        raise DataError(
            "cifar10 needs at least one training batch (data_batch_1 to data_batch_5), "
            f"but the copy holds only {', '.join(batches.records)}; {REMEDY}"
        )
    for stem in present:
        _check_official(by_stem[stem], stem, batches.records[by_stem[stem]])
    records = np.concatenate([batches.records[by_stem[stem]] for stem in present])
    pixels = to_pixels(records)
    tested = TEST_BATCH in present
    roles: list[str] = []
    for stem in present:
        role = "" if not tested else "test" if stem == TEST_BATCH else "train"
        roles += [role] * len(batches.records[by_stem[stem]])
    counts = f"{roles.count('train'):,} train and {roles.count('test'):,} test images"
    return Dataset(
        name="cifar10",
        origin=f"CIFAR-10, {batches.form} batches: "
        + (counts if tested else f"{len(records):,} images, no official test"),
        classes=batches.classes or CLASSES,
        labels=records[:, 0].astype(np.int64),
        source=ArraySource(pixels),
        hashes=hash_pixels(pixels),
        roles=tuple(roles),
        image_size=32,
        size_reason="32 px: the images' own size",
        channels=3,
        sizes={"32x32": len(records)},
        modes={"RGB": len(records)},
        notes=tuple(_list_notes(batches, by_stem)),
    )


def to_pixels(records: Records) -> Pixels:
    """Return the images of (n, 3073) records as (n, 32, 32, 3) uint8."""
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _read_place(place: Path) -> Batches | None:
    for name in FOLDERS:
        found = read_folder(place / name)
        if found is not None:
            return found
    for name in ARCHIVES:
        if (place / name).is_file():
            return read_archive(place / name)
    return None


def _check_official(name: str, stem: str, records: Records) -> None:
    if stem == TEST_BATCH and len(records) >= TEST_START:
        checked, official = records[:TEST_START], OFFICIAL_TEST_START
    elif stem != TEST_BATCH and len(records) == WHOLE:
        checked, official = records, OFFICIAL[stem]
    else:
        return
    found = hashlib.sha256(np.ascontiguousarray(checked).data).hexdigest()
    if found != official:
        raise DataError(
            f"{name} is altered: its records must have the official SHA-256 {official[:12]}..., "
            f"but have {found[:12]}...; {REMEDY}"
        )


def _list_notes(batches: Batches, by_stem: Mapping[str, str]) -> list[str]:
    notes = []
    for name in by_stem.values():
        count = len(batches.records[name])
        if count < WHOLE:
            notes.append(f"{name} holds {count:,} of the official {WHOLE:,} images: a partial copy")
    missing = [stem for stem in TRAIN_BATCHES if stem not in by_stem]
    if missing:
        notes.append(f"{', '.join(missing)} missing: a partial copy")
    if TEST_BATCH not in by_stem:
        notes.append("test_batch is missing: there is no official test, so one is carved out")
    return notes
