"""MNIST and data of its form: idx files of images and labels, packed with gzip or not.

An idx file begins with two zero bytes, 8 (for bytes) and its number of dimensions, then has their
lengths in 4 bytes each, the highest first, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tellapart.data.dataset import Dataset, Part, Pixels, join_parts
from tellapart.errors import DataError

SIDE = 28
_MOST_BYTES = 64 * 2**20
FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
WHOLE = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True)
class IdxLayout:
    """One data set of this form.

    Attributes:
        name: what users call it here.
        title: what its authors call it.
        folders: where its files lie, below a folder that is searched.
        classes: their names, by label.
        official: the SHA-256 of the unpacked content of each of `FILES`, where it is whole.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    official: tuple[str, ...]

    def refuse(self, said: str) -> DataError:
        remedy = "replace it with a fresh copy, or remove it and run: tellapart fetch"
        return DataError(f"{said}; {remedy} {self.name}")


MNIST = IdxLayout(
    name="mnist",
    title="MNIST",
    folders=("mnist", "MNIST/raw", "MNIST", "."),
    classes=tuple("0123456789"),
    official=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)  # fmt: skip
FASHION = IdxLayout(
    name="fashion-mnist",
    title="Fashion-MNIST",
    folders=("fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "."),
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
    official=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)  # fmt: skip


def read_idx(place: Path, layout: IdxLayout) -> Dataset | None:
    """Read the copy that lies in a folder, or in one of its usual folders; None if there is none.

    Raises:
        DataError: a file is truncated, altered or another data set's, or one is missing.
    """
    for folder in (place / name for name in layout.folders):
        paths = [_find(folder, stem) for stem in FILES]
        if paths[0] is None:
            continue
        parts, notes = [], []
        for first, (role, whole) in zip((0, 2), WHOLE.items(), strict=True):
            if paths[first : first + 2] == [None, None]:
                continue
            values = []
            for number in (first, first + 1):
                path = paths[number]
                if path is None:
                    raise layout.refuse(f"{folder} must hold {FILES[number]} too")
                values.append(_read_file(path, layout, whole, layout.official[number]))
            parts.append(_join(layout, role, *values))
            if len(values[0]) < whole:
                notes.append(
                    f"{role} has {len(values[0]):,} of the official {whole:,} images: "
                    "a partial copy"
                )
        return join_parts(layout.name, f"{layout.title}, idx files", layout.classes, parts, notes)
    return None


def _find(folder: Path, stem: str) -> Path | None:
    """Return where a file lies, under one of the names that it is given when it is unpacked."""
    dotted = stem.replace("-idx", ".idx")
    names = (f"{stem}.gz", stem, f"{dotted}.gz", dotted)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_file(path: Path, layout: IdxLayout, whole: int, official: str) -> Pixels:
    try:
        with gzip.GzipFile(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise layout.refuse(f"{path} is truncated or damaged ({error})") from error
    values = parse_idx(path.name, content, layout)
    digest = hashlib.sha256(content).hexdigest()
    if len(values) == whole and digest != official:
        raise layout.refuse(
            f"{path.name} is altered, or of another data set than {layout.title}: its content "
            f"must have the official SHA-256 {official[:12]}..., but has {digest[:12]}..."
        )
    return values


def parse_idx(name: str, content: bytes, layout: IdxLayout) -> Pixels:
    """Return the bytes of an idx file in their shape.

    Raises:
        DataError: it is no idx file of bytes, is cut short, or is too large.
    """
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if not dimensions or len(content) < start or len(content) > _MOST_BYTES:
        raise layout.refuse(f"{name} is no idx file of bytes")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    size = int(np.prod(shape, dtype=object))
    if len(content) - start != size or not size:
        raise layout.refuse(
            f"{name} is truncated: it must have {size:,} values, but has {len(content) - start:,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _join(layout: IdxLayout, role: str, images: Pixels, labels: Pixels) -> Part:
    if images.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1:
        raise layout.refuse(
            f"{layout.title} must have {SIDE} x {SIDE} images, each with a label, but {role} has "
            f"the shapes {images.shape} and {labels.shape}"
        )
    if labels.max() >= len(layout.classes):
        raise layout.refuse(
            f"{layout.title} has labels from 0 to {len(layout.classes) - 1}, but one in {role} is "
            f"{labels.max()}"
        )
    return Part(role, labels.astype(np.int64), images[..., None])
