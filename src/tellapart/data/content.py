"""Where the bytes of an image lie: a file, a member of an archive, a cell of a table."""

from __future__ import annotations

import errno
import lzma
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from tellapart.errors import DataError

MOST_BYTES = 512 * 2**20
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, NotImplementedError, KeyError),
)
"""What reading a damaged or encrypted member of an archive raises."""


class Content(Protocol):
    """The bytes of one image, which other processes can be told of."""

    def open(self) -> AbstractContextManager[bytes]:
        """Give the bytes, for the length of a ``with`` block.

        Raises:
            DataError: they are gone, damaged or too many.
            OSError: what `explain_unreadable` raises.
        """


class Room:
    """What threads share; who needs more than is left waits."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._left += wanted
                self._changed.notify_all()


# However many cores read, they hold no more at one time than the largest file that is allowed.
_BYTES = Room(MOST_BYTES)


def check_bytes(count: int) -> None:
    """Refuse an empty file, or one that is too large."""
    if not 0 < count <= MOST_BYTES:
        raise DataError(f"a file of {count:,} bytes, but it must have 1 to {MOST_BYTES:,}")


@dataclass(frozen=True)
class FileContent:
    """A regular file."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[bytes]:
        with ExitStack() as held:
            try:
                status = self.path.stat()
                if not stat.S_ISREG(status.st_mode):  # to open a FIFO or a device may never end
                    raise DataError("not a regular file")
                check_bytes(status.st_size)
                held.enter_context(_BYTES.take(status.st_size))
                with open(self.path, "rb") as stream:
                    content = stream.read(status.st_size)
            except OSError as error:
                raise DataError(explain_unreadable(error)) from error
            yield content


@dataclass(frozen=True, eq=False)
class BytesContent:
    """Bytes that are in memory: of a compressed tar, or handed over by a program."""

    content: bytes

    @contextmanager
    def open(self) -> Iterator[bytes]:
        check_bytes(len(self.content))
        yield self.content


@dataclass(frozen=True)
class ZipContent:
    """A member of a zip file, of ``size`` bytes when it is unpacked.

    ``stamp`` is when the archive was written, so that one of the same name is another.
    """

    archive: Path
    name: str
    size: int
    stamp: int

    @contextmanager
    def open(self) -> Iterator[bytes]:
        check_bytes(self.size)
        with _BYTES.take(self.size):
            try:
                content = _open_zip(self.archive, self.stamp).read(self.name)
            except DAMAGED as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise DataError(explain_unreadable(error)) from error
                raise DataError(f"damaged in its archive, or encrypted ({error})") from error
            if len(content) != self.size:
                raise DataError("damaged in its archive: its size is not what is said there")
            yield content


@dataclass(frozen=True)
class SliceContent:
    """A part of a file: a member of a tar that is not compressed."""

    path: Path
    start: int
    size: int

    @contextmanager
    def open(self) -> Iterator[bytes]:
        check_bytes(self.size)
        with _BYTES.take(self.size):
            try:
                with open(self.path, "rb") as stream:
                    stream.seek(self.start)
                    content = stream.read(self.size)
            except OSError as error:
                raise DataError(explain_unreadable(error)) from error
            if len(content) != self.size:
                raise DataError("cut off: the archive ends before it")
            yield content


@lru_cache(maxsize=4)
def _open_zip(path: Path, stamp: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def explain_unreadable(error: OSError) -> str:
    """Return why a file or folder cannot be read, where the cause lies in itself.

    Raises:
        OSError: the cause lies elsewhere and may pass, such as too many open files.
    """
    own = (PermissionError, FileNotFoundError, NotADirectoryError)
    if isinstance(error, own) or error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
        return f"cannot be read ({error.strerror})"
    raise error
