"""MNIST and data of its form: idx files of images and labels, packed with gzip or not.

An idx file begins with two zero bytes, 8 (for bytes) and its number of dimensions, then has their
lengths in 4 bytes each, the highest first, then the values.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tellapart.data.dataset import Dataset, Part, Pixels, join_parts
from tellapart.data.download import check_digest
from tellapart.errors import DataError

SIDE = 28
PARTS = (("train", "train", 60_000), ("test", "t10k", 10_000))
"""Each split, what its files' names begin with, and its images in all."""
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class IdxLayout:
    """One data set of this form."""

    title: str  # what its authors call it
    classes: tuple[str, ...]
    official: tuple[str, ...]  # SHA-256 of the unpacked images and labels of each of PARTS


MNIST = IdxLayout(
    title="MNIST",
    classes=tuple("0123456789"),
    official=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
FASHION = IdxLayout(
    title="Fashion-MNIST",
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
    name, theirs = layout.title.lower(), layout.title.replace("-", "")
    for folder in (place / inside for inside in (name, f"{theirs}/raw", theirs, ".")):
        parts, notes = [], []
        official = iter(layout.official)
        for role, start, whole in PARTS:
            stems = [f"{start}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
            images, labels = (_read_file(folder, stem, whole, next(official)) for stem in stems)
            if images is None and labels is None:
                continue
            if images is None or labels is None:
                raise DataError(f"{folder} must hold both {' and '.join(stems)}")
            parts.append(_make_part(layout, role, images, labels))
            if (count := len(parts[-1].labels)) < whole:
                notes.append(
                    f"{role} has {count:,} of the official {whole:,} images: a partial copy"
                )
        if parts and parts[0].role == "train":
            title = f"{layout.title}, idx files"
            return join_parts(name, title, layout.classes, parts, notes)
    return None


def _read_file(folder: Path, stem: str, whole: int, official: str) -> Pixels | None:
    """Read a file under one of the names that it is given when it is unpacked, if it is there."""
    dotted = stem.replace("-idx", ".idx")
    names = (f"{stem}.gz", stem, f"{dotted}.gz", dotted)
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        with gzip.GzipFile(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error})") from error
    values = parse_idx(path.name, content)
    if len(values) == whole:
        check_digest(path.name, content, official)
    return values


def _make_part(layout: IdxLayout, role: str, images: Pixels, labels: Pixels) -> Part:
    if images.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1:
        raise DataError(
            f"{layout.title} must have {SIDE} x {SIDE} images, each with a label, but {role} has "
            f"the shapes {images.shape} and {labels.shape}"
        )
    if labels.max() >= len(layout.classes):
        raise DataError(
            f"{layout.title} has labels from 0 to {len(layout.classes) - 1}, but one in {role} is "
            f"{labels.max()}"
        )
    return Part(role, labels.astype(np.int64), images[..., None])


def parse_idx(name: str, content: bytes) -> Pixels:
    """Return the bytes of an idx file in their shape.

    Raises:
        DataError: it is no idx file of bytes, is cut short, or is too large.
    """
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if not dimensions or len(content) < start or len(content) > _MOST_BYTES:
        raise DataError(f"{name} is no idx file of bytes")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    size = int(np.prod(shape, dtype=object))
    if len(content) - start != size or not size:
        raise DataError(
            f"{name} is truncated: it must have {size:,} values, but has {len(content) - start:,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
