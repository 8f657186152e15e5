"""One process that does what it is handed, and is replaced when it dies.

It is a Python of its own that imports this package alone, so that a script which asks for work
in processes needs no guard against being run again in each of them. Requests go to its input and
answers come from its output, pickled.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from tellapart.errors import CellDied, Interrupted, TellapartError
from tellapart.stop import SIGNALS, ask_stop, check_stop, find_stop

LOOK = 0.1
"""Seconds between two looks at whether a stop was asked for."""
PARENT_LOOK = 0.5
"""Seconds between two looks of a process at whether its parent is alive."""
TRIES = 2
PROGRAM = "from tellapart.search.hand import serve; serve({}, {})"
"""What the process runs; it is told its parent, which may be gone by then, and its threads."""

Answer = tuple[bool, Any]
"""Whether all went well, and the result or the exception."""


class Hand:
    """One process at a time, started when it is needed.

    Args:
        threads: that it computes with.
        environment: variables that it has besides those of this process.
    """

    def __init__(self, threads: int = 1, environment: Mapping[str, str] | None = None) -> None:
        self._threads, self._environment = threads, dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._sent: object = None

    def run(
        self, function: Callable[[Any], Any], settings: object, closing: threading.Event
    ) -> Any:
        """Return what the function gives in the process, or raise what it raises there.

        Args:
            closing: set when the process should stop as soon as its work is saved.

        Raises:
            CellDied: the process died, and the one after it too.
            Interrupted: a stop was asked for.
        """
        codes: list[int | None] = []
        while len(codes) < TRIES:
            check_stop()
            answer = self._try(function, settings, closing)
            if answer is None:
                codes.append(self.close())
                continue
            fine, content = answer
            if fine:
                return content
            if isinstance(content, Interrupted) and not self._is_stop_asked(closing):
                codes.append(self.close())  # somebody else stopped it
                continue
            raise content
        raise CellDied(
            f"its process died {TRIES} times (exit codes {', '.join(map(str, codes))}; "
            "-9 is often a lack of memory); use fewer --processes"
        )

    @staticmethod
    def _is_stop_asked(closing: threading.Event) -> bool:
        """Tell whether this process was asked to stop too, perhaps a moment after the other."""
        return find_stop() is not None or closing.wait(LOOK) or find_stop() is not None

    def _try(
        self, function: Callable[[Any], Any], settings: object, closing: threading.Event
    ) -> Answer | None:
        """Hand work over and wait for the answer; None where the process died."""
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            if self._sent is not function:
                process.stdin.write(pickle.dumps((True, function)))
                self._sent = function
            process.stdin.write(pickle.dumps((False, settings)))
            process.stdin.flush()
        except OSError:
            return None
        told = False
        while True:
            try:
                return self._answers.get(timeout=LOOK)
            except queue.Empty:
                number = find_stop() or (signal.SIGTERM if closing.is_set() else None)
                if number is not None and not told:
                    told = True
                    process.send_signal(number)

    def _start(self) -> None:
        places = os.pathsep.join(place or os.getcwd() for place in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM.format(os.getpid(), self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": places} | self._environment,
        )
        self._process, self._sent, self._answers = process, None, queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, self._answers), daemon=True)
        reader.start()

    def close(self) -> int | None:
        """End the process, if there is one, and return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        return process.wait()

    def kill(self) -> None:
        """End the process in the middle of its work, which goes on from its last checkpoint."""
        if (process := self._process) is not None:
            process.kill()


def _read(stream: IO[bytes], answers: queue.SimpleQueue[Answer | None]) -> None:
    """Queue answers as they come, and None at the end."""
    with stream:
        while True:
            try:
                answers.put(pickle.load(stream))  # a pipe from the process that this one started
            except Exception:  # its end, or what a dying process left half written
                answers.put(None)
                return


def serve(parent: int, threads: int) -> None:
    """Do what comes through the standard input, one piece after another, until it is closed.

    A signal that the parent ignores, as a shell has it for what runs in the background, is ignored
    here too, but for SIGTERM, with which the parent itself asks for a stop.
    """
    from tellapart.device import limit_threads, prepare_libraries

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for number in SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: ask_stop(number))
    if sys.platform == "win32":  # there a virtual environment's Python starts another
        parent = os.getppid()
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()
    prepare_libraries()
    limit_threads(threads)
    function: Callable[[Any], Any] | None = None
    while True:
        try:
            # from the parent alone, which started this process with a pipe to it
            is_function, content = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if is_function:
            function = content
            continue
        assert function is not None
        try:
            answer: Answer = True, function(content)
        except Exception as error:  # the parent raises it
            answer = False, error
        with suppress(BrokenPipeError):
            answers.write(_pack(answer))
            answers.flush()


def _pack(answer: Answer) -> bytes:
    """Pickle an answer; an exception that cannot be handed over is told in words."""
    try:
        packed = pickle.dumps(answer)
        if not answer[0]:
            # what was packed the line above; an error whose arguments are not its own fails here
            pickle.loads(packed)
    except Exception:
        return pickle.dumps((False, TellapartError(repr(answer[1]))))
    return packed


def _follow_parent(parent: int) -> None:
    """End at once when the parent is gone: another start may be at work on the same folder."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK)
    os._exit(1)
