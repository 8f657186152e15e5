"""Features on disk: shards of rows that are found by the content of their images.

A set of features is a folder. Its shards are safetensors files of (n, width) float16 with the
hashes of their n images and a checksum, so that an image more costs one row more, a damaged shard
is computed again by itself, and several processes may write at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Indices
from tellapart.errors import WorkspaceError
from tellapart.workspace import locate_cache, write_bytes, write_json

FORMAT = 3
"""Of the folder and its key; sets of another are not read, and ``cache prune`` removes them."""
KEY = "key.json"
SUFFIX = ".safetensors"

Rows16 = NDArray[np.float16]


@dataclass(frozen=True)
class Shard:
    """A file with some images' features: their hashes, and where in it the vectors begin."""

    path: Path
    hashes: tuple[str, ...]
    width: int
    begin: int


@dataclass(frozen=True)
class FeatureTable:
    """(n, width) float16 that are read from shards when they are asked for, by rows.

    ``places`` (n, 2) has the number of a row's shard, and the row in it. No file is kept open in
    between: there may be more shards than a process may have open files.
    """

    shards: tuple[Shard, ...]
    places: NDArray[np.int32]
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), self.width)

    def __getitem__(self, rows: Indices) -> Rows16:
        """Return (k, width) float16 in the order of k rows.

        Raises:
            WorkspaceError: a shard was removed meanwhile, or cannot be opened.
        """
        places = self.places[rows]
        found = np.empty((len(places), self.width), np.float16)
        for number in np.unique(places[:, 0]).tolist():
            shard = self.shards[number]
            here = np.flatnonzero(places[:, 0] == number)
            with explain_cache(shard.path):
                shape = (len(shard.hashes), shard.width)
                mapped = np.memmap(shard.path, np.float16, "r", shard.begin, shape)
                found[here] = mapped[places[here, 1]]
        return found

    def place(self, rows: Indices, count: int) -> FeatureTable:
        """Return a table of ``count`` rows with these at ``rows``; the others are void."""
        places = np.zeros((count, 2), np.int32)
        places[rows] = self.places
        return FeatureTable(self.shards, places, self.width)


Vectors = Rows16 | FeatureTable
"""(n, width) float16 that are taken by rows."""


class FeatureStore:
    """One set of features, opened: whole shards alone count, each checked.

    The ``folder`` is made at the first write; ``width`` is features an image; ``key`` is what the
    numbers depend on, kept beside them for ``cache list``.

    Raises:
        WorkspaceError: a shard cannot be opened now; it stays.
    """

    def __init__(self, folder: Path, width: int, key: dict[str, Any]) -> None:
        self.folder, self.width, self._key = folder, width, key
        self._shards: list[Shard] = []
        self._places: dict[str, tuple[int, int]] = {}
        for path in list_shards(folder):
            shard = read_shard(path)
            if shard is not None and shard.width == width:
                self._keep(shard)
                continue
            with suppress(OSError):  # a folder that cannot be written: it is passed over
                path.unlink()
        with suppress(OSError):
            os.utime(folder / KEY)  # when it was used last

    def find_missing(self, hashes: Sequence[str]) -> Indices:
        """Return the rows of images that have no features, each image once, in order."""
        first: dict[str, int] = {}
        for row, name in enumerate(hashes):
            if name not in self._places:
                first.setdefault(name, row)
        return np.array(list(first.values()), np.int64)

    def add(self, hashes: Sequence[str], vectors: Rows16) -> None:
        """Keep the features of some images as one shard, or raise a `WorkspaceError`."""
        content = pack_shard(hashes, vectors)
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:24]}{SUFFIX}"
        with explain_cache(self.folder):
            if not (self.folder / KEY).is_file():
                write_json(self.folder / KEY, {"format": FORMAT, **self._key})
            write_bytes(path, content)
        self._keep(Shard(path, tuple(hashes), self.width, len(content) - vectors.nbytes))

    def take(self, hashes: Sequence[str]) -> FeatureTable:
        """Return the features of images, row for row; all of them must be there."""
        places = np.array([self._places[name] for name in hashes], np.int32).reshape(-1, 2)
        return FeatureTable(tuple(self._shards), places, self.width)

    def _keep(self, shard: Shard) -> None:
        for row, name in enumerate(shard.hashes):
            self._places.setdefault(name, (len(self._shards), row))
        self._shards.append(shard)


def locate_features() -> Path:
    """Return the folder of all sets of features."""
    return locate_cache() / "features"


def list_shards(folder: Path) -> list[Path]:
    """Return the files of a set's shards, in an order that does not change; none of no folder."""
    with explain_cache(folder), suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    return []


def pack_shard(hashes: Sequence[str], vectors: Rows16) -> bytes:
    """Return the content of a shard's file."""
    from safetensors.numpy import save

    vectors = np.ascontiguousarray(vectors)
    metadata = {"hashes": " ".join(hashes), "sha256": _sum_up(hashes, vectors.view(np.uint8).data)}
    return save({"features": vectors}, metadata)


def read_shard(path: Path, check: bool = True) -> Shard | None:
    """Read what a shard's file holds, or return None where it is not whole, or is gone.

    ``check`` compares the checksum, which reads all of the file.

    Raises:
        WorkspaceError: it cannot be opened now, so that nobody knows whether it is whole.
    """
    with explain_cache(path):
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            return None
        with stream:
            size = os.fstat(stream.fileno()).st_size
            begin = 8 + int.from_bytes(stream.read(8), "little")
            if not 8 < begin <= size:
                return None
            header = stream.read(begin - 8)
            content = stream.read() if check else b""
    try:
        parts = json.loads(header)
        entry, about = parts["features"], parts["__metadata__"]
        hashes = tuple(about["hashes"].split())
        first, last = entry["data_offsets"]
        rows, width = entry["shape"]
        whole = (entry["dtype"], rows, first) == ("F16", len(hashes), 0)
        whole = whole and last == 2 * rows * width == size - begin
        if not whole or (check and about["sha256"] != _sum_up(hashes, content)):
            return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return Shard(path, hashes, int(width), begin)


@contextmanager
def explain_cache(path: Path) -> Iterator[None]:
    """Say of the cache, not of ``--out``, that something there cannot be read or written."""
    try:
        yield
    except (OSError, ValueError, WorkspaceError) as error:
        cause = error.__cause__ if isinstance(error, WorkspaceError) else error
        reason = getattr(cause, "strerror", None) or cause
        raise WorkspaceError(
            f"the cache of features must be readable and writable, but {path} is not ({reason}); "
            "free space, check its permissions and the limit of open files, or set TELLAPART_CACHE "
            "to another folder"
        ) from error


def _sum_up(hashes: Sequence[str], vectors: bytes | memoryview) -> str:
    digest = hashlib.sha256(" ".join(hashes).encode())
    digest.update(vectors)
    return digest.hexdigest()
