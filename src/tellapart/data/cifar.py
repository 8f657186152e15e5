"""CIFAR-10 and CIFAR-100: find a copy, check it against the official content, say what it lacks.

Binary files hold records: the label (for CIFAR-100 the coarse one, then the fine one), then the
red, green and blue planes of 32 x 32. Python files are pickles of the same. An archive is read as
a stream; nothing is unpacked.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Dataset, Part, Pixels, join_parts
from tellapart.data.pickles import parse_fields
from tellapart.errors import DataError

Form = Literal["binary", "python"]
Records = NDArray[np.uint8]
"""(n, label bytes + 3072): the label that counts is the last before the planes."""

PLANES = 3072
TEST_START = 1000
_MOST_BYTES = 256 * 2**20
_MOST_MEMBERS = 64


@dataclass(frozen=True)
class Layout:
    """How the copies of one data set are laid out: names of files, folders and fields.

    Attributes:
        parts: file name, without ``.bin`` -> the images that it holds.
        official: file name -> the SHA-256 of what is ``hashed``.
        hashed: the records, of a test the first 1,000 alone, or the python file as a whole.
        folders: where the files lie, below a folder that is searched.
        meta: the file with the names of the classes.
        keys: the fields of the labels and of the classes' names, in the python form.
        labels: how many a record has in the binary form.
        classes: their names, for copies without ``meta``; if there are none here, it must be there.
        count: of classes.
    """

    name: str
    title: str
    parts: Mapping[str, int]
    official: Mapping[str, str]
    hashed: Literal["records", "file"]
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    meta: Mapping[Form, str]
    keys: tuple[str, str]
    labels: int
    classes: tuple[str, ...]
    count: int

    def refuse(self, said: str) -> DataError:
        remedy = "replace it with a fresh copy, or remove it and run: tellapart fetch"
        return DataError(f"{said}; {remedy} {self.name}")

    def list_files(self, form: Form) -> list[str]:
        return [f"{stem}.bin" if form == "binary" else stem for stem in self.parts]


CIFAR10 = Layout(
    name="cifar10",
    title="CIFAR-10",
    parts={**{f"data_batch_{number}": 10_000 for number in range(1, 6)}, "test_batch": 10_000},
    official={
        "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch": "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5",
    },
    hashed="records",
    folders=(
        *(".", "cifar-10-batches-bin", "cifar-10-batches-py"),
        "cifar-10-batches-py-target/cifar-10-batches-py",
    ),
    archives=("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz"),
    meta={"binary": "batches.meta.txt", "python": "batches.meta"},
    keys=("labels", "label_names"),
    labels=1,
    classes=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    count=10,
)  # fmt: skip
CIFAR100 = Layout(
    name="cifar100",
    title="CIFAR-100",
    parts={"train": 50_000, "test": 10_000},
    official={
        "train": "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b",
        "test": "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864",
    },
    hashed="file",
    folders=(
        *(".", "cifar-100-binary", "cifar-100-python"),
        "cifar-100-python-target/cifar-100-python",
    ),
    archives=("cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"),
    meta={"binary": "fine_label_names.txt", "python": "meta"},
    keys=("fine_labels", "fine_label_names"),
    labels=2,
    classes=(),
    count=100,
)


def read_cifar(place: Path, layout: Layout) -> Dataset | None:
    """Read the copy that lies in a folder, unpacked or as an archive; None if there is none.

    Raises:
        DataError: a file is truncated, altered or no batch, or no training batch is there.
    """
    for name in layout.folders:
        for form, meta in layout.meta.items():
            folder = place / name
            present = [name for name in layout.list_files(form) if (folder / name).is_file()]
            named = (folder / meta).is_file()
            if present and (named or layout.classes):
                paths = [folder / name for name in [meta] * named + present]
                return _assemble(layout, form, ((one.name, _read(layout, one)) for one in paths))
    for name in layout.archives:
        if (place / name).is_file():
            return _read_archive(place / name, layout)
    return None


def parse_binary(name: str, content: bytes, layout: Layout = CIFAR10) -> Records:
    """Return the records of a binary file, (n, label bytes + 3072).

    Raises:
        DataError: the size is not a whole number of records, or there are too many.
    """
    size = layout.labels + PLANES
    count, rest = divmod(len(content), size)
    if rest or not count:
        raise layout.refuse(
            f"{name} is truncated: a batch is a whole number of {size}-byte records, "
            f"but it has {len(content):,} bytes"
        )
    return _check_records(name, np.frombuffer(content, np.uint8).reshape(count, size), layout)


def parse_python(name: str, content: bytes, layout: Layout = CIFAR10) -> Records:
    """Return the records of a python file, (n, 1 + 3072), without running the pickle's code.

    Raises:
        DataError: the pickle asks for anything but plain arrays, or is no batch.
    """
    key = layout.keys[0]
    fields = _parse_pickle(name, content, layout)
    labels, pixels = fields.get(key), fields.get("data")
    if not isinstance(labels, list) or not isinstance(pixels, np.ndarray):
        raise layout.refuse(f"{name} must hold a list {key!r} and a byte array 'data'")
    if pixels.shape != (len(labels), PLANES) or not labels:
        raise layout.refuse(
            f"{name} must hold {PLANES} bytes for each of its {len(labels):,} labels, "
            f"but 'data' has the shape {pixels.shape}"
        )
    if not all(isinstance(label, int) and 0 <= label < layout.count for label in labels):
        raise layout.refuse(f"{name} is altered: a label is not one of 0 to {layout.count - 1}")
    records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
    return _check_records(name, records, layout)


def to_pixels(records: Records) -> Pixels:
    """Return the images of records as (n, 32, 32, 3) uint8."""
    planes = records[:, -PLANES:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _read(layout: Layout, path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise layout.refuse(f"{path.name} is altered: it has over {_MOST_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise layout.refuse(f"{path} cannot be read ({error.strerror})") from error


def _read_archive(path: Path, layout: Layout) -> Dataset:
    """Read a gzipped tar archive as a stream: regular files with an expected name alone."""
    members: dict[str, bytes] = {}
    wanted = {name for form in layout.meta for name in layout.list_files(form)}
    wanted.update(layout.meta.values())
    try:
        with tarfile.open(path, "r|gz") as archive:
            for count, member in enumerate(archive, 1):
                if count > _MOST_MEMBERS or member.size > _MOST_BYTES:
                    raise layout.refuse(
                        f"{path} is not an official {layout.title} archive: it holds more than "
                        f"{_MOST_MEMBERS} files, or one of over {_MOST_BYTES:,} bytes"
                    )
                inside = PurePosixPath(member.name)
                strange = inside.is_absolute() or ".." in inside.parts or inside.name in members
                if member.isreg() and inside.name in wanted and not strange:
                    stream = archive.extractfile(member)
                    assert stream is not None, "a regular file has content"
                    members[inside.name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise layout.refuse(f"{path} is truncated or damaged ({error})") from error
    for form, meta in layout.meta.items():
        names = [name for name in (meta, *layout.list_files(form)) if name in members]
        if set(names) - {meta}:
            return _assemble(layout, form, ((name, members[name]) for name in names))
    raise layout.refuse(f"{path} holds no {layout.title} batch such as {next(iter(layout.parts))}")


def _assemble(layout: Layout, form: Form, files: Iterable[tuple[str, bytes]]) -> Dataset:
    """Check the files, join them, and note what is missing."""
    classes, parts, notes = layout.classes, [], []
    missing = list(layout.parts)
    for name, content in files:
        if name == layout.meta[form]:
            classes = _parse_classes(layout, form, name, content) or classes
            continue
        stem = name.removesuffix(".bin")
        records = (parse_binary if form == "binary" else parse_python)(name, content, layout)
        _check_official(layout, form, name, content, records)
        role = "test" if stem.startswith("test") else "train"
        parts.append(Part(role, records[:, -PLANES - 1].astype(np.int64), to_pixels(records)))
        missing.remove(stem)
        if len(records) < layout.parts[stem]:
            notes.append(
                f"{name} holds {len(records):,} of the official {layout.parts[stem]:,} images: "
                "a partial copy"
            )
    if not classes:
        raise layout.refuse(f"{layout.title} lacks its {layout.meta[form]}")
    if all(part.role == "test" for part in parts):
        raise layout.refuse(
            f"{layout.name} needs at least one training batch, such as "
            f"{next(iter(layout.parts))}, but the copy holds only its test"
        )
    if lost := [stem for stem in missing if not stem.startswith("test")]:
        notes.append(f"{', '.join(lost)} missing: a partial copy")
    return join_parts(layout.name, f"{layout.title}, {form} batches", classes, parts, notes)


def _parse_pickle(name: str, content: bytes, layout: Layout) -> dict[str, Any]:
    try:
        return parse_fields(content)
    except DataError as error:
        raise layout.refuse(f"{name} {error}") from error


def _parse_classes(layout: Layout, form: Form, name: str, content: bytes) -> tuple[str, ...]:
    """Return the names of the classes, or none where the file has no list of them."""
    if form == "binary":
        names: Any = content.decode("utf-8", "replace").split()
    else:
        names = _parse_pickle(name, content, layout).get(layout.keys[1])
    if not isinstance(names, list):
        return ()
    shown = tuple(item.decode() if isinstance(item, bytes) else str(item) for item in names)
    return shown if len(shown) == len(set(shown)) == layout.count else ()


def _check_records(name: str, records: Records, layout: Layout) -> Records:
    most = layout.parts.get(name.removesuffix(".bin"), max(layout.parts.values()))
    if len(records) > most:
        raise layout.refuse(
            f"{name} is altered: it has at most {most:,} images, but it holds {len(records):,}"
        )
    worst = int(records[:, -PLANES - 1].max())
    if worst >= layout.count:
        raise layout.refuse(
            f"{name} is altered: labels go from 0 to {layout.count - 1}, but one is {worst}"
        )
    return records


def _check_official(
    layout: Layout, form: Form, name: str, content: bytes, records: Records
) -> None:
    stem = name.removesuffix(".bin")
    by_record, official = layout.hashed == "records", layout.official[stem]
    count = TEST_START if by_record and stem.startswith("test") else layout.parts[stem]
    if len(records) < count or (form == "binary" and not by_record):
        return
    checked = np.ascontiguousarray(records[:count]).data if by_record else content
    found = hashlib.sha256(checked).hexdigest()
    if found != official:
        raise layout.refuse(
            f"{name} is altered: its content must have the official SHA-256 {official[:12]}..., "
            f"but has {found[:12]}..."
        )
