"""Images in files: each is decoded only as long as its content is what was hashed at first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tellapart.data.dataset import ArraySource, ImageSource, Indices, Pixels, write_pixels
from tellapart.data.decode import decode_image, open_content
from tellapart.data.tree import show_name
from tellapart.device import count_cores
from tellapart.errors import DataError


class FileSource:
    """Images in files, decoded when read; at the chosen size they may be held in memory.

    Args:
        paths: one file per image.
        hashes: of each file's bytes, as they were when the data were loaded.
        image_size: the chosen side, in pixels.
        channels: 1 or 3.
        held: the pixels at that size; None to decode at each read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        hashes: Sequence[str],
        image_size: int,
        channels: int,
        held: ArraySource | None = None,
    ) -> None:
        assert len(paths) == len(hashes)
        self.paths = tuple(paths)
        self.hashes = tuple(hashes)
        self.image_size = image_size
        self.channels = channels
        self.held = held
        self.streamed = held is None

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        """Return images as (k, size, size, channels) uint8; ``size`` is the chosen one if None.

        Raises:
            DataError: a file is gone, or is not what it was when the data were loaded.
        """
        side = size or self.image_size
        if self.held is not None and side == self.image_size:
            return self.held.read(indices)
        pixels = np.empty((len(indices), side, side, self.channels), np.uint8)

        def decode_one(position: int) -> None:
            row = int(indices[position])
            path = self.paths[row]
            try:
                pixels[position] = decode_file(path, self.hashes[row], side, self.channels)
            except DataError as error:
                name = show_name(f"{path.parent.name}/{path.name}")
                raise DataError(f"{name}: {error}; restore it, or start again") from error

        with end_where_reading_fails():
            work_through(decode_one, len(indices))
        return pixels

    def resize(self, size: int) -> ImageSource:
        return FileSource(self.paths, self.hashes, size, self.channels)

    def share(self, path: Path) -> ImageSource:
        if self.held is None:
            return self
        held = write_pixels(self.held.pixels, path)
        return FileSource(self.paths, self.hashes, self.image_size, self.channels, held)


def decode_file(path: Path, digest: str, size: int, channels: int) -> Pixels:
    """Decode an image to (size, size, channels) uint8, if its file still has the hash ``digest``.

    Raises:
        DataError: the file is gone, has changed, or cannot be decoded.
    """
    with open_content(path) as content:
        if hash_content(content) != digest:
            raise DataError("its content has changed since it was first read")
        return decode_image(content, size, channels)


def hash_content(content: bytes) -> str:
    """Return the hash that stands for an image: of its file's bytes."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def work_through(function: Callable[[int], None], count: int) -> None:
    """Call a function with each number below ``count``, on all cores."""
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(function, range(count)))  # raises what the first failure did


@contextmanager
def end_where_reading_fails() -> Iterator[None]:
    """Make a failure that says nothing of the file, such as too many open ones, a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{show_name(str(error.filename or 'a file of the data'))} could not be read just now "
            f"({error.strerror or error}); the file may be well, so start the same command again, "
            "and remove it if that does not help"
        ) from error
