"""One process to an output folder: a file names the owner, and a second process refuses.

File locks are not used: on some network file systems they are granted to everyone. Instead
``owner-1.json`` is created, which only one process can do. It is taken away at the end, and
touched every ``BEAT`` seconds meanwhile. An owner that died leaves its file behind; the next
process then creates ``owner-2.json``, which again only one can do, and so on: no file of another
process is ever removed to make room, so two cannot both think they did.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import Field

from tellapart.errors import WorkspaceError
from tellapart.records import Record
from tellapart.workspace import create_bytes, remove_leftovers

BEAT = 20.0
"""Seconds between two signs of life."""

SILENCE = 180.0
"""Seconds without one after which an owner on another machine counts as dead."""


class Owner(Record):
    """What an owner's file says: what `describe_process` returns."""

    process: Annotated[int, Field(ge=1, lt=2**31)]
    started: str | None
    host: str
    boot: str
    ids: str


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Be the one process that writes in ``folder``, for the length of a ``with`` block.

    Raises:
        WorkspaceError: another process works there, or the folder cannot be written.
    """
    mark = _take(folder)
    done = threading.Event()
    thread = threading.Thread(target=_beat, args=(mark, done), daemon=True)
    thread.start()
    try:
        remove_leftovers(folder)
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):  # a network file system that is away: left behind, as if killed
            mark.unlink()


def describe_process() -> dict[str, str | int | None]:
    """Return what tells this process from all others, before and after it, here and elsewhere."""
    pid = os.getpid()
    return {"process": pid, "started": read_start(pid), "host": socket.gethostname(), **_machine()}


def read_start(pid: int) -> str | None:
    """Return when a process started, as the system counts; None if it runs no more.

    A process id is given again after a while; id and start together are not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        text = ""
    if text:  # "pid (name) state ..."; the name may hold anything, the 22nd field is the start
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return f"{process.create_time():.0f}"
    except psutil.Error:
        return None


def _machine() -> dict[str, str]:
    """Return what is the same for processes that can see each other's ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        boot, space = f"{psutil.boot_time():.0f}", ""
    return {"boot": boot, "ids": space}


def _take(folder: Path) -> Path:
    """Create the next owner file; refuse where the owner of an earlier one lives."""
    own = describe_process()
    while True:
        marks = _list_marks(folder)
        for mark in marks:
            _refuse_if_alive(folder, mark, own)
        number = 1 + max((_number(mark) for mark in marks), default=0)
        mark = folder / f"owner-{number}.json"
        if create_bytes(mark, json.dumps(own).encode() + b"\n"):
            break
    try:
        for other in _list_marks(folder):  # one may have come between the look and the creation
            if other != mark:
                _refuse_if_alive(folder, other, own)
                other.unlink(missing_ok=True)
    except BaseException:
        mark.unlink(missing_ok=True)
        raise
    return mark


def _list_marks(folder: Path) -> list[Path]:
    return sorted(folder.glob("owner-*.json"), key=_number)


def _number(mark: Path) -> int:
    digits = mark.stem.partition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _refuse_if_alive(folder: Path, mark: Path, own: dict[str, str | int | None]) -> None:
    owner: Owner | None = None
    try:
        owner = Owner.model_validate_json(mark.read_bytes())
        touched = mark.stat().st_mtime
    except FileNotFoundError:
        return  # it ended just now
    except (OSError, ValueError):  # not whole: its age decides
        touched = mark.stat().st_mtime
    if owner and all(getattr(owner, name) == own[name] for name in ("host", "boot", "ids")):
        start = read_start(owner.process)
        alive, remedy = start is not None and start == owner.started, "wait for it or stop it"
    else:
        alive = _read_clock(folder) - touched < SILENCE
        remedy = f"wait for it or stop it (if it died, {SILENCE / 60:.0f} minutes from then)"
    who = f"process {owner.process} on {owner.host}" if owner else f"a process ({mark.name})"
    if alive:
        raise WorkspaceError(
            f"--out {folder} belongs to {who}, which is at work there; {remedy}, or name another "
            "folder"
        )


def _read_clock(folder: Path) -> float:
    """Return the time of the folder's file system, whose clock may not be this machine's."""
    probe = folder / f".owner.{os.getpid()}.{threading.get_ident()}.tmp"
    try:
        create_bytes(probe, b"")
        return probe.stat().st_mtime
    finally:
        with suppress(OSError):
            probe.unlink()


def _beat(mark: Path, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with suppress(OSError):  # the next beat may get through
            os.utime(mark)
