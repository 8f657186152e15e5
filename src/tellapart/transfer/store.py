"""Features on disk: shards of rows that are found by the content of their images.

A set of features is a folder, named by all that its numbers depend on but the images: weights,
preprocessing, decoder, engine, view. Its shards are safetensors files of (n, width) float16 with
the hashes of their n images and a checksum, so that an image more costs one row more, a damaged
shard is computed again by itself, and several processes may write at once.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Indices
from tellapart.workspace import write_bytes, write_json

FORMAT = 2
"""Of the folder; sets of another are not read, and ``cache prune`` removes them."""
KEY = "key.json"
SUFFIX = ".safetensors"

HELD_BYTES = 400_000_000
"""What vectors that are held in main memory may take."""

Rows16 = NDArray[np.float16]


class Vectors(Protocol):
    """(n, width) float16 that are taken by rows: an array, or a table that reads them."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Indices, /) -> Rows16: ...


class FeatureTable:
    """(n, width) float16 that are read from shards when they are asked for, by rows.

    Attributes:
        shape: ``(n, width)``.
    """

    def __init__(self, shards: Sequence[Rows16], places: NDArray[np.int32], width: int) -> None:
        self._shards, self._places = tuple(shards), places
        self.shape = (len(places), width)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, rows: Indices) -> Rows16:
        """Return (k, width) float16 in the order of k rows."""
        places = self._places[rows]
        found = np.empty((len(places), self.shape[1]), np.float16)
        for number in np.unique(places[:, 0]):
            here = np.flatnonzero(places[:, 0] == number)
            found[here] = self._shards[number][places[here, 1]]
        return found

    def release(self) -> None:
        """Let the system have the memory of what was read; it is read again when it is needed."""
        for shard in self._shards:
            if isinstance(shard, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
                shard._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # of numpy's


def hold_vectors(vectors: Vectors) -> Vectors:
    """Return vectors in main memory where all of them take little: they are then taken faster."""
    count, width = vectors.shape
    if 2 * count * width > HELD_BYTES:
        return vectors
    held = vectors[np.arange(count)]
    if isinstance(vectors, FeatureTable):
        vectors.release()
    return held


class FeatureStore:
    """One set of features, opened: whole shards alone count, each checked.

    Args:
        folder: of the set; made at the first write.
        width: features an image.
        key: what the numbers depend on, kept beside them for ``cache list``.
    """

    def __init__(self, folder: Path, width: int, key: dict[str, Any]) -> None:
        self.folder, self.width, self._key = folder, width, key
        self._shards: list[Rows16] = []
        self._places: dict[str, tuple[int, int]] = {}
        for path in list_shards(folder):
            shard = read_shard(path)
            if shard is None or shard.vectors.shape[1] != width:
                with suppress(OSError):  # a folder that cannot be written: it is passed over
                    path.unlink()
                continue
            self._keep(shard)
        with suppress(OSError):
            os.utime(folder / KEY)  # when it was used last

    def find_missing(self, hashes: Sequence[str]) -> Indices:
        """Return the rows of images that have no features, each image once, in order."""
        seen: set[str] = set(self._places)
        rows: list[int] = []
        for row, name in enumerate(hashes):
            if name not in seen:
                seen.add(name)
                rows.append(row)
        return np.array(rows, np.int64)

    def add(self, hashes: Sequence[str], vectors: Rows16) -> None:
        """Keep the features of some images as one shard.

        Raises:
            WorkspaceError: the cache cannot be written.
        """
        if not (self.folder / KEY).is_file():
            write_json(self.folder / KEY, {"format": FORMAT, **self._key})
        content = pack_shard(hashes, vectors)
        name = hashlib.sha256(content).hexdigest()[:24]
        path = write_bytes(self.folder / f"{name}{SUFFIX}", content)
        shard = read_shard(path, check=False)
        assert shard is not None, path
        self._keep(shard)

    def take(self, hashes: Sequence[str]) -> FeatureTable:
        """Return the features of images, row for row; all of them must be there."""
        places = np.array([self._places[name] for name in hashes], np.int32).reshape(-1, 2)
        return FeatureTable(self._shards, places, self.width)

    def _keep(self, shard: Shard) -> None:
        number = len(self._shards)
        self._shards.append(shard.vectors)
        for row, name in enumerate(shard.hashes):
            self._places.setdefault(name, (number, row))


@dataclass(frozen=True)
class Shard:
    """Some images' features: (n, width) float16 in a mapped file, and the images' hashes."""

    hashes: tuple[str, ...]
    vectors: Rows16


def list_shards(folder: Path) -> list[Path]:
    """Return the files of a set's shards, in an order that does not change."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def pack_shard(hashes: Sequence[str], vectors: Rows16) -> bytes:
    """Return the content of a shard's file."""
    from safetensors.numpy import save

    assert vectors.dtype == np.float16 and len(hashes) == len(vectors), vectors.shape
    vectors = np.ascontiguousarray(vectors)
    metadata = {"hashes": " ".join(hashes), "sha256": _sum_up(hashes, vectors)}
    return save({"features": vectors}, metadata)


def read_shard(path: Path, check: bool = True) -> Shard | None:
    """Map a shard's file, or return None where it is not whole.

    Args:
        check: whether to compare the checksum, which reads all of the file.
    """
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > path.stat().st_size:
                return None
            header = json.loads(stream.read(length))
        entry, about = header["features"], header["__metadata__"]
        hashes = tuple(about["hashes"].split())
        first, last = entry["data_offsets"]
        shape = tuple(entry["shape"])
        if entry["dtype"] != "F16" or last - first != 2 * shape[0] * shape[1]:
            return None
        vectors = np.memmap(path, np.float16, "r", 8 + length + first, shape)
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error):
        return None
    if len(hashes) != shape[0] or (check and about.get("sha256") != _sum_up(hashes, vectors)):
        return None
    return Shard(hashes, vectors)


def _sum_up(hashes: Iterable[str], vectors: Rows16) -> str:
    digest = hashlib.sha256(" ".join(hashes).encode())
    digest.update(vectors.view(np.uint8).data)
    return digest.hexdigest()
