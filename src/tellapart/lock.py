"""One process to an output folder: a file names who works there, and a second process is refused.

The file is one of filelock's leases: its existence is the lock, for on some network file systems
the system's own locks are granted to everyone. Whoever was killed on this machine is followed at
once. A process on another machine cannot be seen; it is followed once its signs of life have ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLease, Timeout

from tellapart.errors import WorkspaceError
from tellapart.stop import ask_stop, check_stop, is_stop_asked
from tellapart.workspace import explain_failure, remove_leftovers

LOCK = "working.lock"
BEAT = 15.0
"""Seconds between two signs of life."""
SILENCE = 90.0
"""Seconds without one after which a process on another machine counts as dead."""
EMPTY = 3.0
"""Seconds after which a lock that is still empty belongs to nobody: it is filled at once."""
WAITING = (
    "tellapart: a process on another machine has left its lock; waiting up to "
    f"{SILENCE:.0f} s to see that it is dead\n"
)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Be the one process that writes in ``folder``, for the length of a ``with`` block.

    A process that was taken for dead, after it was halted for long, is asked to stop.

    Raises:
        WorkspaceError: another process works there, or the folder cannot be written.
        Interrupted: a stop was asked for while it waited for a dead one's lease to end.
    """
    lease = SoftFileLease(
        folder / LOCK,
        lease_duration=SILENCE,
        heartbeat_interval=BEAT,
        on_compromise=lambda loss: ask_stop(),
        timeout=0,
    )
    with explain_failure(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lease, folder)
    try:
        remove_leftovers(folder)
        yield
    finally:
        with suppress(OSError):  # a network file system that is away: left behind, as if killed
            lease.release()


def _acquire(lease: SoftFileLease, folder: Path) -> None:
    _remove_empty(folder / LOCK)
    try:
        lease.acquire()
    except Timeout as error:
        hidden = lease.owner is None or "cannot probe" in str(error)
        if not (hidden and _measure_age(folder / LOCK) > SILENCE):
            raise WorkspaceError(_describe(lease, folder, hidden)) from error
        with suppress(OSError):  # nobody listens
            os.write(2, WAITING.encode())
        try:
            lease.acquire(timeout=SILENCE + BEAT, cancel_check=is_stop_asked)
        except Timeout as late:
            check_stop()
            raise WorkspaceError(_describe(lease, folder, hidden)) from late


def _remove_empty(mark: Path) -> None:
    """Remove a lock that was never filled: a kill came between its creation and its content."""
    with suppress(FileNotFoundError):  # it was released, or never there
        while not mark.stat().st_size:
            check_stop()
            if _measure_age(mark) > EMPTY:
                mark.unlink()
            time.sleep(0.1)


def _measure_age(mark: Path) -> float:
    """Return the seconds since the last sign of life; clocks that differ cost a wait at most."""
    try:
        return time.time() - mark.stat().st_mtime
    except OSError:  # it is gone, and another one may be there by now
        return 0.0


def _describe(lease: SoftFileLease, folder: Path, hidden: bool) -> str:
    owner = lease.owner
    who = "a process"
    remedy = "wait for it or stop it"
    if owner is not None:
        who = f"process {owner.pid} on {owner.hostname.partition('?')[0]}"
    if hidden:
        remedy += f" (if it died, start again in {SILENCE:.0f} s, or remove {LOCK} there)"
    return (
        f"--out {folder} belongs to {who}, which is at work there; {remedy}, or name another folder"
    )
