"""The batch files of CIFAR-10, in their three official forms, as plain records.

A record is 3,073 bytes: the label, then the red, green and blue planes of 32 x 32. The
binary form stores records as they are. The python form is a pickle; it is parsed without
running anything that it names. An archive is read as a stream; nothing is unpacked.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DataError

Records = NDArray[np.uint8]

RECORD_BYTES = 3073
WHOLE = 10_000
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
BATCHES = (*TRAIN_BATCHES, TEST_BATCH)
META = {"binary": "batches.meta.txt", "python": "batches.meta"}
REMEDY = "replace it with a fresh copy, or remove it and run: tellapart fetch cifar10"

_MOST_BYTES = 64 * 2**20
_MOST_MEMBERS = 64


@dataclass(frozen=True)
class Batches:
    """What one copy of CIFAR-10 holds.

    Attributes:
        form: ``binary`` or ``python``.
        records: file name -> (n, 3073) uint8, in the order of ``BATCHES``.
        classes: ten names, or None where the copy has no readable list.
    """

    form: str
    records: dict[str, Records]
    classes: tuple[str, ...] | None


def read_folder(folder: Path) -> Batches | None:
    """Read the batch files that lie directly in ``folder``; None if there are none.

    Raises:
        DataError: a file is truncated, altered, or is no batch.
    """
    for form, names in (("binary", [f"{stem}.bin" for stem in BATCHES]), ("python", BATCHES)):
        present = [folder / name for name in names if (folder / name).is_file()]
        if present:
            meta = folder / META[form]
            files = present + ([meta] if meta.is_file() else [])
            return _parse_files(form, ((file.name, _read_file(file)) for file in files))
    return None


def read_archive(path: Path) -> Batches:
    """Read the batch files of a gzipped tar archive, as a stream.

    Only regular files with an expected name inside the archive's own folder are looked at.

    Raises:
        DataError: the archive is damaged, outsized, or holds no batch.
    """
    members: dict[str, bytes] = {}
    wanted = {*BATCHES, *(f"{stem}.bin" for stem in BATCHES), *META.values()}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for count, member in enumerate(archive, 1):
                if count > _MOST_MEMBERS or member.size > _MOST_BYTES:
                    raise DataError(
                        f"{path} is not an official CIFAR-10 archive: it holds more than "
                        f"{_MOST_MEMBERS} files, or one of over {_MOST_BYTES:,} bytes; {REMEDY}"
                    )
                inside = PurePosixPath(member.name)
                if not member.isreg() or inside.name not in wanted:
                    continue
                if inside.is_absolute() or ".." in inside.parts or inside.name in members:
                    continue
                stream = archive.extractfile(member)
                assert stream is not None, "a regular file has content"
                members[inside.name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); {REMEDY}") from error
    form = "binary" if any(f"{stem}.bin" in members for stem in BATCHES) else "python"
    meta = META[form]
    names = [f"{stem}.bin" if form == "binary" else stem for stem in BATCHES]
    found = _parse_files(
        form, ((name, members[name]) for name in (*names, meta) if name in members)
    )
    if not found.records:
        raise DataError(f"{path} holds no CIFAR-10 batch such as data_batch_1; {REMEDY}")
    return found


def parse_binary(name: str, content: bytes) -> Records:
    """Return the records of a binary batch.

    Raises:
        DataError: the size is not a whole number of records, or there are too many.
    """
    count, rest = divmod(len(content), RECORD_BYTES)
    if rest or not count:
        raise DataError(
            f"{name} is truncated: a batch is a whole number of {RECORD_BYTES}-byte records, "
            f"but it has {len(content):,} bytes; {REMEDY}"
        )
    return _check_records(name, np.frombuffer(content, np.uint8).reshape(count, RECORD_BYTES))


def parse_python(name: str, content: bytes) -> Records:
    """Return the records of a python batch, without running the pickle's code.

    Raises:
        DataError: the pickle asks for anything but plain arrays, or is no batch.
    """
    fields = _parse_pickle(name, content)
    labels, pixels = fields.get("labels"), fields.get("data")
    if isinstance(pixels, _PlainArray):
        pixels = pixels.to_numpy()
    if not isinstance(labels, list) or not isinstance(pixels, np.ndarray):
        raise DataError(f"{name} must hold a list 'labels' and a byte array 'data'; {REMEDY}")
    if pixels.shape != (len(labels), RECORD_BYTES - 1) or not labels:
        raise DataError(
            f"{name} must hold {RECORD_BYTES - 1} bytes for each of its {len(labels):,} labels, "
            f"but 'data' has the shape {pixels.shape}; {REMEDY}"
        )
    if not all(isinstance(label, int) and 0 <= label <= 9 for label in labels):
        raise DataError(f"{name} is altered: a label is not one of 0 to 9; {REMEDY}")
    return _check_records(
        name, np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
    )


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path.name} is altered: it has over {_MOST_BYTES:,} bytes; {REMEDY}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {REMEDY}") from error


def _parse_files(form: str, files: Iterator[tuple[str, bytes]]) -> Batches:
    records: dict[str, Records] = {}
    classes = None
    for name, content in files:
        if name == META[form]:
            classes = _parse_classes(form, name, content)
        else:
            records[name] = (parse_binary if form == "binary" else parse_python)(name, content)
    return Batches(form, records, classes)


def _parse_classes(form: str, name: str, content: bytes) -> tuple[str, ...] | None:
    if form == "binary":
        names: Any = content.decode("utf-8", "replace").split()
    else:
        names = _parse_pickle(name, content).get("label_names")
    if not isinstance(names, list) or len(names) != 10 or len({*map(str, names)}) != 10:
        return None
    return tuple(item.decode() if isinstance(item, bytes) else str(item) for item in names)


def _check_records(name: str, records: Records) -> Records:
    if len(records) > WHOLE:
        raise DataError(
            f"{name} is altered: a batch has at most {WHOLE:,} images, "
            f"but it holds {len(records):,}; {REMEDY}"
        )
    worst = int(records[:, 0].max())
    if worst > 9:
        raise DataError(f"{name} is altered: labels go from 0 to 9, but one is {worst}; {REMEDY}")
    return records


class _PlainType:
    """Stands for a number format named in a pickle."""

    def __init__(self, code: object = "", *rest: object) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Take no notice: one-byte numbers have no state that matters."""


class _PlainArray:
    """Stands for an array in a pickle: takes its state as data, runs nothing."""

    def __init__(self, *rest: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def to_numpy(self) -> Records | None:
        """Return the (n, 3072) bytes, or None where the state is of anything else."""
        match self.state:
            case (_, (int(rows), int(columns)), _PlainType(code="u1" | "|u1" | "B"), order, raw):
                content = raw.encode("latin1") if isinstance(raw, str) else raw
                if isinstance(content, bytes) and len(content) == rows * columns:
                    shape = (columns, rows) if order else (rows, columns)
                    array = np.frombuffer(content, np.uint8).reshape(shape)
                    return array.T if order else array
        return None


def _encode_text(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_STANDS_FOR: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _PlainArray,
    ("numpy._core.multiarray", "_reconstruct"): _PlainArray,
    ("numpy", "ndarray"): _PlainArray,
    ("numpy", "dtype"): _PlainType,
    ("_codecs", "encode"): _encode_text,
}


class _DataUnpickler(pickle.Unpickler):
    """Parses lists, dicts, numbers, text and arrays; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STANDS_FOR:
            raise DataError(f"it asks to run {module}.{name}, which a data file never needs")
        return _STANDS_FOR[module, name]


def _parse_pickle(name: str, content: bytes) -> dict[str, Any]:
    try:
        found = _DataUnpickler(io.BytesIO(content), encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{name} is refused: {error}; {REMEDY}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{name} is truncated or damaged ({error}); {REMEDY}") from error
    if not isinstance(found, dict):
        raise DataError(f"{name} is no CIFAR-10 batch: it holds no table of fields; {REMEDY}")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value
        for key, value in found.items()
    }
