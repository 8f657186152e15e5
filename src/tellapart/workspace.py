"""The output folder: names, whole-or-absent writes, and what may be written where.

Every file that tellapart makes is written through :func:`write_parts`.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel, TypeAdapter, ValidationError

from tellapart.errors import WorkspaceError
from tellapart.records import StatusRecord

IDENTITY = "identity.json"
STATUS = "status.json"
CACHE_VARIABLE = "TELLAPART_CACHE"

Content = TypeVar("Content")

_BESIDE = re.compile(r"\..*\.(\d{1,9})\.[0-9a-f]{8}\.tmp")
"""The names that are written to first, with the number of the process."""


def write_bytes(path: Path, *parts: bytes | memoryview) -> Path:
    """Write a file as `write_parts` does."""
    return write_parts(path, parts)


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> Path:
    """Write a file whole or not at all: beside, fsync, ``os.replace``, fsync of the folder.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written. An older file stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with explain_failure(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb") as stream:
                stream.writelines(parts)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, path)
        finally:
            with suppress(OSError):  # it took its name, or nothing was written
                beside.unlink()
        if os.name == "posix":
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove what writes left half done, here and below, whose process was killed.

    Called before this process writes there: it may have the number of one that is dead.
    """
    with suppress(OSError):  # a file too many does no harm
        for path in folder.rglob(".*.tmp"):
            found = _BESIDE.fullmatch(path.name)
            if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
                path.unlink()


@contextmanager
def explain_failure(path: Path) -> Iterator[None]:
    """Make a failed write to ``path`` a `WorkspaceError` that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise WorkspaceError(
            f"{path} could not be written ({error.strerror or error}); "
            f"{'free space or ' if full else ''}choose another folder with --out"
        ) from error


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text, whole or not at all; bytes of names that are not UTF-8 as escapes."""
    return write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, content: Any) -> Path:
    """Write a record, or plain data, as JSON; a ValueError if a number is not finite."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that tellapart wrote; a WorkspaceError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error}); remove it and start the same command again"
        ) from error


def read_record(path: Path, kind: type[Content]) -> Content:
    """Read a record that :func:`write_json` wrote, or plain data of a known shape.

    Raises:
        WorkspaceError: the file is missing, damaged, altered, or of another version.
    """
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        said = first["msg"].removeprefix("Value error, ")
        raise WorkspaceError(
            f"{path} was altered, or is of another version ({place}{said}); "
            "put back what it was, or start anew with another --out"
        ) from error


def read_checked(path: Path, digest: str) -> bytes:
    """Read a file whose SHA-256, hexadecimal, a record has; a WorkspaceError if it has another."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error.strerror}); copy the folder as a whole"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise WorkspaceError(
            f"{path} was altered since it was written (its SHA-256 is not the record's); "
            "restore it, or run the step again in another folder"
        )
    return content


def open_folder(folder: Path, identity: dict[str, Any]) -> Path:
    """Make or reopen an output folder, as `check_folder` allows."""
    if not check_folder(folder, identity):
        write_json(folder / IDENTITY, identity)
    return folder


def check_folder(folder: Path, identity: dict[str, Any]) -> bool:
    """Return whether a folder holds work of ``identity``; a new or empty one does not.

    Raises:
        WorkspaceError: it holds other files, or work of another identity.
    """
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            what = "a file" if folder.exists() else "a link to nothing"
            raise WorkspaceError(f"--out must be a folder, but {folder} is {what}; name another")
        holds = folder.is_dir() and any(
            not file.name.startswith(f".{IDENTITY}.") for file in folder.iterdir()
        )
    except OSError as error:
        raise WorkspaceError(
            f"--out {folder} cannot be read ({error.strerror}); name another"
        ) from error
    if not holds:
        return False
    if not (folder / IDENTITY).is_file():
        raise WorkspaceError(f"--out {folder} must be new, but holds other files; name another")
    found = read_record(folder / IDENTITY, dict[str, Any])
    if "made by" in found and found.keys() != identity.keys():
        raise WorkspaceError(
            f"--out {folder} holds work of another version of tellapart; name another folder"
        )
    for key in sorted(identity.keys() | found.keys()):
        if found.get(key) != identity.get(key):
            raise WorkspaceError(
                f"--out {folder} holds other work: its {key} is {found.get(key)!r}, "
                f"this command's is {identity.get(key)!r}; name another folder, "
                "or give the same arguments to go on with it"
            )
    return True


def name_folder(stem: str, identity: dict[str, Any], root: Path = Path("runs")) -> Path:
    """Return ``root/stem-n``: the newest with this identity that is unfinished, else the next.

    A finished folder (its ``status.json`` says done) is not reused without ``--out``.
    """
    for number in itertools.count(1):
        folder = root / f"{stem}-{number}"
        if not folder.exists():
            break
        with suppress(WorkspaceError, OSError):  # damaged, or another's: not to be gone on with
            status = folder / STATUS
            done = status.is_file() and read_record(status, StatusRecord).status == "done"
            if not done and read_json(folder / IDENTITY) == identity:
                break
    return folder


def expand_path(name: str | Path) -> Path:
    """Return a path with its ``~``; that of a user who does not exist is left as it stands.

    >>> expand_path("~nobody-of-that-name/photos").as_posix()
    '~nobody-of-that-name/photos'
    """
    return Path(os.path.expanduser(name))


def check_home() -> None:
    """Raise a WorkspaceError now if there is no home, which libraries look for amid the work."""
    if os.path.expanduser("~") == "~":
        raise WorkspaceError(
            "a home folder is needed for caches, but neither HOME nor the system's list of users "
            "names one; set HOME to a folder that can be written"
        )


def locate_cache(environ: dict[str, str] | None = None) -> Path:
    """Return tellapart's cache folder: ``TELLAPART_CACHE``, else the platform's own place."""
    named = (os.environ if environ is None else environ).get(CACHE_VARIABLE)
    if named:
        return expand_path(named)
    check_home()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tellapart", appauthor=False))
