"""CIFAR-10 and CIFAR-100: find a copy, check it against the official content, say what it lacks.

Binary files hold records: the label (for CIFAR-100 the coarse one, then the fine one), then the
red, green and blue planes of 32 x 32. Python files are pickles of the same. An archive is read as
a stream: nothing is unpacked, and nothing in a pickle is run.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Dataset, Part, Pixels, join_parts
from tellapart.data.download import check_digest
from tellapart.errors import DataError

Records = NDArray[np.uint8]
"""(n, label bytes + 3072): the label that counts is the last before the planes."""

PLANES = 3072
WHOLE = {"train": 50_000}
"""Images of a file; of all others 10,000."""
TEST_START = 1000
"""Images at the start of CIFAR-10's test that are checked: a partial copy may end there."""
FOLDERS = (
    *(".", "{0}-batches-bin", "{0}-batches-py", "{0}-batches-py-target/{0}-batches-py"),
    *("{0}-binary", "{0}-python", "{0}-python-target/{0}-python"),
)
"""Where Toronto's archives, torchvision and Keras have the files of ``cifar-10``, say."""
ARCHIVES = ("{0}-binary.tar.gz", "{0}-python.tar.gz", "{0}-batches-py.tar.gz")
_MOST_BYTES = 256 * 2**20
"""More than any file of either has; what is longer is read no further."""


@dataclass(frozen=True)
class Layout:
    """How the copies of one of the two are laid out."""

    title: str  # in small letters, names of folders begin with it
    parts: Mapping[str, str]  # file, without .bin -> SHA-256 of its records, or of a whole pickle
    forms: Mapping[str, tuple[str, str]]  # name -> ending of files, file with the classes' names
    fine: str  # what the names of fields in the python form begin with
    count: int  # of classes
    classes: tuple[str, ...]  # their names, where no file need say them


CIFAR10 = Layout(
    title="CIFAR-10",
    parts={
        "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch": "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5",
    },
    forms={"binary": (".bin", "batches.meta.txt"), "python": ("", "batches.meta")},
    fine="",
    count=10,
    classes=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
)  # fmt: skip
CIFAR100 = Layout(
    title="CIFAR-100",
    parts={
        "train": "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b",
        "test": "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864",
    },
    forms={"binary": (".bin", "fine_label_names.txt"), "python": ("", "meta")},
    fine="fine_",
    count=100,
    classes=(),
)


def read_cifar(place: Path, layout: Layout) -> Dataset | None:
    """Read the copy that lies in a folder, unpacked or as an archive; None if there is none.

    Raises:
        DataError: a file is truncated, altered or no batch, or no training batch is there.
    """
    names = {stem + end for end, _ in layout.forms.values() for stem in layout.parts}
    names |= {meta for _, meta in layout.forms.values()}
    stem = layout.title.lower()
    for folder in (place / name.format(stem) for name in FOLDERS):
        present = {name for name in names if (folder / name).is_file()}
        if found := _read_files(layout, present, partial(_read_file, folder)):
            return found
    for path in (place / name.format(stem) for name in ARCHIVES):
        if path.is_file():
            members = _read_archive(path, names)
            if found := _read_files(layout, members, members.pop):
                return found
            first = next(iter(layout.parts))
            raise DataError(f"{path} holds no {layout.title} batch such as {first}")
    return None


def _read_file(folder: Path, name: str) -> bytes:
    try:
        with open(folder / name, "rb") as stream:
            return stream.read(_MOST_BYTES)
    except OSError as error:
        raise DataError(f"{folder / name} cannot be read ({error.strerror})") from error


def _read_archive(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read the regular files with these names alone."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                if member.size > _MOST_BYTES:
                    raise DataError(f"{path} is altered: a file in it has {member.size:,} bytes")
                name = member.name.rpartition("/")[2]
                if member.isreg() and name in names:
                    stream = archive.extractfile(member)
                    assert stream is not None, "a regular file has content"
                    members[name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error})") from error
    return members


def _read_files(
    layout: Layout, present: Collection[str], read: Callable[[str], bytes]
) -> Dataset | None:
    """Check the files of one form, join them, and note what is missing; None if there are none."""
    for form, (end, meta) in layout.forms.items():
        stems = [stem for stem in layout.parts if stem + end in present]
        if stems and (layout.classes or meta in present):
            title = f"{layout.title}, {form} batches"
            break
    else:
        return None
    classes = layout.classes
    if meta in present:
        classes = _parse_classes(meta, read(meta), layout) or classes
    if not classes:
        raise DataError(f"{meta} must name {layout.count} classes, but does not")
    parts, notes = [], []
    for stem in stems:
        records = parse_batch(stem + end, read(stem + end), layout)
        role = "test" if stem.startswith("test") else "train"
        parts.append(Part(role, records[:, -PLANES - 1].astype(np.int64), to_pixels(records)))
        whole = WHOLE.get(stem, 10_000)
        if len(records) < whole:
            notes.append(
                f"{stem + end} holds {len(records):,} of the official {whole:,} images: "
                "a partial copy"
            )
    lost = [stem for stem in layout.parts if stem not in stems and not stem.startswith("test")]
    if all(part.role == "test" for part in parts):
        raise DataError(
            f"{layout.title} needs at least one training batch, such as {lost[0]}, but the copy "
            "holds only its test"
        )
    if lost:
        notes.append(f"{', '.join(lost)} missing: a partial copy")
    name = layout.title.lower().replace("-", "")
    return join_parts(name, title, classes, parts, notes)


def _parse_classes(name: str, content: bytes, layout: Layout) -> tuple[str, ...]:
    """Return the names of the classes, or none where the file has no list of them."""
    if name.endswith(".txt"):
        names: Any = content.decode("utf-8", "replace").split()
    else:
        names = _parse_pickle(name, content).get(f"{layout.fine}label_names")
    if not isinstance(names, list):
        return ()
    shown = tuple(item.decode() if isinstance(item, bytes) else str(item) for item in names)
    return shown if len(shown) == len(set(shown)) == layout.count else ()


def parse_batch(name: str, content: bytes, layout: Layout = CIFAR10) -> Records:
    """Return the records of a file, binary or a pickle by its name.

    Raises:
        DataError: it is truncated, altered or no batch, or a pickle asks for more than arrays.
    """
    stem = name.removesuffix(".bin")
    records = (_parse_python if name == stem else _parse_binary)(name, content, layout)
    whole = WHOLE.get(stem, 10_000)
    if len(records) > whole:
        raise DataError(
            f"{name} is altered: it has at most {whole:,} images, but it holds {len(records):,}"
        )
    worst = int(records[:, -PLANES - 1].max())
    if worst >= layout.count:
        raise DataError(
            f"{name} is altered: labels go from 0 to {layout.count - 1}, but one is {worst}"
        )
    count = TEST_START if stem == "test_batch" else whole
    if len(records) < count or (layout.fine and name != stem):  # the binary form's is not known
        return records
    checked = content if layout.fine else np.ascontiguousarray(records[:count]).data
    check_digest(name, checked, layout.parts[stem])
    return records


def _parse_binary(name: str, content: bytes, layout: Layout) -> Records:
    size = PLANES + (2 if layout.fine else 1)
    count, rest = divmod(len(content), size)
    if rest or not count:
        raise DataError(
            f"{name} is truncated: a batch is a whole number of {size}-byte records, "
            f"but it has {len(content):,} bytes"
        )
    return np.frombuffer(content, np.uint8).reshape(count, size)


def _parse_python(name: str, content: bytes, layout: Layout) -> Records:
    fields, key = _parse_pickle(name, content), f"{layout.fine}labels"
    labels, pixels = fields.get(key), fields.get("data")
    shape = pixels.shape if isinstance(pixels, np.ndarray) else ()
    if not isinstance(labels, list) or not labels or shape != (len(labels), PLANES):
        raise DataError(f"{name} must hold {PLANES} bytes of 'data' for each of its {key!r}")
    if not all(isinstance(label, int) and 0 <= label < layout.count for label in labels):
        raise DataError(f"{name} is altered: a label is not one of 0 to {layout.count - 1}")
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)


def to_pixels(records: Records) -> Pixels:
    """Return the images of records as (n, 32, 32, 3) uint8."""
    planes = records[:, -PLANES:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


class _Plain:
    """Stands in a pickle for an array and its number format: keeps their state, runs nothing."""

    def __init__(self, *made: object) -> None:
        self.made, self.state = made, ()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_numpy(self) -> Pixels | None:
        """Return (rows, columns) bytes, or None where the state is of anything else."""
        match self.state:
            case (_, (int(), int()) as shape, _Plain(made=("u1", *_)), order, raw):
                content = raw.encode("latin1") if isinstance(raw, str) else raw
                array = np.frombuffer(content, np.uint8)
                return array.reshape(shape, order="F" if order else "C")
        return None


_PLAIN = {
    *(("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")),
    *(("numpy", "ndarray"), ("numpy", "dtype")),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return lambda text, _: text.encode("latin1")
        if (module, name) in _PLAIN:
            return _Plain
        raise DataError(f"asks to run {module}.{name}, which a data file never needs")


def _parse_pickle(name: str, content: bytes) -> dict[str, Any]:
    """Return the fields of a pickled dict; byte arrays of two dimensions come as NumPy's."""
    try:
        fields = _Unpickler(io.BytesIO(content), encoding="latin1").load().items()
        return {
            key.decode("latin1") if isinstance(key, bytes) else str(key): (
                value.to_numpy() if isinstance(value, _Plain) else value
            )
            for key, value in fields
        }
    except DataError as error:
        raise DataError(f"{name} is refused: it {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{name} is truncated or damaged ({error})") from error
