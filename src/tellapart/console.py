"""What is printed: the answers of commands, and while a study runs a line a step, or a bar.

Names of files and classes, and texts from records, may hold anything. What would move the cursor
or change a terminal is shown as its escape, here and nowhere else.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from pydantic import BaseModel
from rich import markup
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tellapart.records import ModelStep, Place, StepName, StepRecord
from tellapart.report.wording import say_estimate, say_seconds

TITLES: dict[Place, str] = {
    "inspect": "1 inspect",
    "baseline": "2 baseline",
    "conv": "3 conv sweep",
    "dense": "4 dense sweep",
    "search": "5 search",
    "transfer": "6 transfer",
    "learn": "+ more data",
    "grid": "settings",
}


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of a line."""


def show_controls(text: str, lines: bool = False) -> str:
    r"""Return a text with its control characters as escapes.

    Args:
        lines: whether line breaks are the text's own, and stay.

    >>> show_controls("\x1b]0;title\x07.png")
    '\\x1b]0;title\\x07.png'
    """

    def escape_one(found: re.Match[str]) -> str:
        one = found.group()
        return one if lines and one == "\n" else one.encode("unicode_escape").decode()

    return _CONTROLS.sub(escape_one, text)


def escape(text: str) -> str:
    """Return a text that rich shows as it is, in one line."""
    return markup.escape(show_controls(text))


def print_text(text: str) -> None:
    """Print an answer, of several lines perhaps, on standard output."""
    print(show_controls(text, lines=True))


def print_json(content: BaseModel | Sequence[Any] | Mapping[str, Any]) -> None:
    """Print a record, or plain data, as JSON that any terminal and file can take."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    print(json.dumps(plain, indent=1, allow_nan=False))


def print_error(text: str) -> None:
    """Print why a command ends, on standard error."""
    print(f"tellapart: {show_controls(text)}", file=sys.stderr)


class Stream(io.TextIOWrapper):
    """Text for people, for which no work ends: what cannot be written is lost, and kept in mind."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        try:
            super().write(text)
        except OSError as error:
            self.failure = error
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.failure = error


def open_streams() -> None:
    """Let the standard streams take any text, and never stop the work.

    One that was closed before the start (``2>&-``) is opened to nowhere, so that no file of the
    work takes its number. A terminal may go away, or a disk be full, while the work goes on.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    plain = warnings.formatwarning
    warnings.formatwarning = lambda *told, **named: show_controls(plain(*told, **named), lines=True)
    sys.stdout, sys.stderr = (_wrap(stream, n) for n, stream in ((1, sys.stdout), (2, sys.stderr)))


def _wrap(stream: TextIO | None, number: int) -> Stream:
    buffer = os.fdopen(number, "wb", closefd=False) if stream is None else stream.buffer
    encoding = "utf-8" if stream is None else stream.encoding
    return Stream(buffer, encoding, "backslashreplace", line_buffering=True)


def find_failure() -> OSError | None:
    """Return why standard output took less than all, if so."""
    sys.stdout.flush()
    return sys.stdout.failure if isinstance(sys.stdout, Stream) else None


class ConsoleReporter:
    """Shows steps on standard error: bars where a person looks, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            TextColumn("[bold]{task.fields[title]:<14}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._step: Place | None = None
        self._units, self._done, self._start = 1, 0, 0.0
        self._seconds = 0.0

    def __enter__(self) -> ConsoleReporter:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, step: Place, units: int, seconds: float = 0.0) -> None:
        if self._task is not None:  # of work that had no record of its own
            self._progress.remove_task(self._task)
        self._step, self._units, self._done, self._start = step, units, 0, time.monotonic()
        self._seconds = seconds
        if self._live:
            self._task = self._progress.add_task("", total=units, title=TITLES[step], left="")
        else:
            self._console.print(f"{TITLES[step]}: started", highlight=False)

    def advance(self, units: int, text: str) -> None:
        before, self._done = self._done, self._done + units
        if self._task is not None:
            self._progress.update(
                self._task, advance=units, description=escape(text), left=self._say_left()
            )
            return
        whole = max(1, self._units)
        if 10 * before // whole < 10 * self._done // whole < 10:
            share = 100 * self._done // whole
            assert self._step is not None, "a step began"
            line = f"{TITLES[self._step]}: {share} %, {self._say_left()}; {text}"
            self._console.print(escape(line), style="dim", highlight=False)

    def _say_left(self) -> str:
        """Say what is left: what the plan says, for later units are often slower, or the pace."""
        spent = time.monotonic() - self._start
        pace = spent / max(1, self._done)
        left = max(pace * max(0, self._units - self._done), self._seconds - spent)
        return f"about {say_seconds(left)} left"

    def expect(self, seconds: float, units: int | None = None) -> None:
        self._seconds = time.monotonic() - self._start + seconds if seconds else 0.0
        if units is not None:
            self._units = self._done + units
        if self._task is not None:
            self._progress.update(self._task, total=self._units)

    def skip(self, units: int, text: str) -> None:
        self._seconds *= 1 - units / max(1, self._units)
        self._units -= units
        if self._task is not None:
            self._progress.update(self._task, total=self._units, description=escape(text))

    def say(self, text: str) -> None:
        line = text if self._step is None else f"{TITLES[self._step]}: {text}"
        self._console.print(escape(line), style="dim", highlight=False)

    def end(self, record: StepRecord, step: StepName, again: bool) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        figure = (
            f"test {say_estimate(record.test_accuracy)}" if isinstance(record, ModelStep) else ""
        )
        when = "done before" if again else say_seconds(record.seconds)
        self._console.print(
            f"[bold]{TITLES[step]:<14}[/bold] [green]{escape(figure)}[/green]"
            f"{' ' if figure else ''}[dim]{when}[/dim]",
            highlight=False,
        )
        self._console.print(f"  {escape(record.answer)}", highlight=False)


@contextmanager
def show_download(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows (bytes done, bytes in all), a bar or a line each tenth."""
    console = Console(stderr=True)
    shown = -1
    with Progress(
        TextColumn(f"[bold]download {escape(what)}"),
        BarColumn(bar_width=28),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task: TaskID | None = None

        def show(done: int, total: int) -> None:
            nonlocal task, shown
            if task is None:
                task = bar.add_task("", total=total)
            bar.update(task, completed=done)
            tenth = 10 * done // max(1, total)
            if not console.is_terminal and tenth > shown:
                shown = tenth
                console.print(f"download {escape(what)}: {10 * tenth} %", highlight=False)

        yield show
