"""Stopping when asked: a signal sets a flag, and the work looks at it where stopping is safe.

So a save is never cut by the signal that asked for it. A second signal stops at once, wherever the
work is; a third one kills. Python runs handlers between two instructions of its main thread alone:
where that waits for a library's function, a thread that hears of signals too ends the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tellapart.errors import Interrupted

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)  # Windows lacks the last two
)
HANGUP = getattr(signal, "SIGHUP", None)
"""A terminal that closes may send several: one after another signal asks for nothing more."""
GRACE = 2.0
"""Seconds after a second signal in which the work may come to an end by itself."""
NOTE = b"tellapart: stopping as soon as that is safe; a second signal stops at once\n"

_asked: list[signal.Signals] = []


@contextmanager
def catch_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP ask for a stop, for the length of a ``with`` block.

    Nothing is changed in a thread other than the main one, which cannot have handlers, nor for a
    signal that is ignored, as a shell has it for what runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _handle) for number in heard}
    reader, writer = os.pipe()
    if os.name == "posix":  # elsewhere it need not be
        os.set_blocking(writer, False)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    over = threading.Event()
    threading.Thread(target=_watch, args=(reader, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(woken)
        os.close(writer)
        for number, handler in before.items():
            if handler is not None:  # set by something other than Python
                signal.signal(number, handler)
        clear_stop()


def ask_stop(number: int = signal.SIGTERM) -> None:
    """Ask the work to stop where it is safe, as the signal would."""
    _asked.append(signal.Signals(number))


def clear_stop() -> None:
    """Forget that a stop was asked for."""
    _asked.clear()


def is_stop_asked() -> bool:
    """Return whether a stop was asked for; the caller then saves and calls `check_stop`."""
    return bool(_asked)


def find_stop() -> signal.Signals | None:
    """Return the signal that asked for a stop, or None."""
    return _asked[0] if _asked else None


def check_stop() -> None:
    """Raise Interrupted if a stop was asked for."""
    if _asked:
        raise Interrupted(f"stopped by {_asked[0].name}; the same command goes on from here")


def _watch(reader: int, over: threading.Event) -> None:
    """End the process, unflushed, if the work is not over soon after a second signal."""
    count = 0
    while number := os.read(reader, 1):  # empty once the other end is closed
        count += number[0] in SIGNALS and not (count and number[0] == HANGUP)
        if count > 1 and not over.wait(GRACE):
            os._exit(Interrupted.exit_code)
    os.close(reader)


def _handle(number: int, frame: FrameType | None) -> None:
    if _asked and number == HANGUP:
        return
    if _asked:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt
    ask_stop(number)
    with suppress(OSError):  # nobody listens
        os.write(2, NOTE)
