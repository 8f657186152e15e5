"""What is printed: the answers of commands, and while a study runs a line a step, or a bar.

Names of files and classes, and texts from records, may hold anything. What would move the cursor
or change a terminal is shown as its escape, here and nowhere else.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from pydantic_core import to_jsonable_python
from rich import markup, progress
from rich.console import Console
from rich.table import Column

from tellapart.cells.reporter import Reporter
from tellapart.records import ModelStep, StepRecord
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_score, say_seconds
from tellapart.words import show_controls


def escape(text: str) -> str:
    """Return a text that rich shows as it is, in one line."""
    return markup.escape(show_controls(text))


def print_text(text: str) -> None:
    """Print an answer, of several lines perhaps, on standard output."""
    print(show_controls(text, lines=True))


def print_json(content: object) -> None:
    """Print records, or plain data, as JSON that any terminal and file can take."""
    print(json.dumps(to_jsonable_python(content), indent=1, allow_nan=False))


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
            # takes the lowest number that is free; workers have it too
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
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


class ConsoleReporter(Reporter):
    """Shows steps on standard error: bars where a person looks, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        narrow = console.width < 100
        self._progress = progress.Progress(
            progress.TextColumn("[bold]{task.fields[title]}", table_column=Column(no_wrap=True)),
            progress.BarColumn(bar_width=8 if narrow else 28),
            progress.TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            *(() if narrow else (progress.TimeElapsedColumn(),)),
            progress.TextColumn(
                "{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="crop")
            ),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task: progress.TaskID | None = None
        self._title = ""
        self._units, self._done = 1.0, 0.0
        self._marks: list[tuple[float, float]] = []

    def __enter__(self) -> ConsoleReporter:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, step: str, units: float) -> None:
        self._clear()  # of work that had no record of its own
        self._title, self._done = SECTIONS[step].title, 0.0
        self._task = self._progress.add_task("", title=self._title)
        if not self._console.is_terminal:
            self._console.print(f"{self._title}: started", highlight=False)
        self.expect(units)

    def advance(self, units: float, text: str) -> None:
        before, self._done = self._done, self._done + units
        if units:
            self._marks.append((time.monotonic(), self._done))
        self._update(text)
        share, last = (round(100 * done / self._units, 6) for done in (self._done, before))
        if not self._console.is_terminal and last // 10 < share // 10 < 10:
            left = self._say_left()
            self.say(f"{share:.0f} %{', ' if left else ''}{left}; {text}")

    def expect(self, units: float) -> None:
        self._restart(self._done + units)

    def skip(self, units: float, text: str) -> None:
        self._restart(self._units - units, text)

    def _restart(self, units: float, text: str = "") -> None:
        """Measure the pace from now on."""
        self._units = max(units, 1e-9)
        self._marks = [(time.monotonic(), self._done)]
        self._update(text)

    def _say_left(self) -> str:
        """Say what is left at the pace of the last part; nothing while nothing is done."""
        if len(self._marks) < 2:
            return ""
        (first, _), (now, done) = self._marks[0], self._marks[-1]
        # the later half of the time: what was slow, or quick, at the start says little of the rest
        since, had = max(mark for mark in self._marks[:-1] if mark[0] <= (first + now) / 2)
        pace = (now - since) / (done - had)
        if not pace:  # what was skipped and what was done came in one moment
            return ""
        return f"about {say_seconds(pace * max(0.0, self._units - done))} left"

    def _update(self, text: str) -> None:
        if self._task is None:
            return
        parts = (self._say_left(), text if self._console.width >= 60 else "")
        self._progress.update(
            self._task,
            total=self._units,
            completed=self._done,
            description=escape("  ".join(part for part in parts if part)),
        )

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def say(self, text: str) -> None:
        line = f"{self._title}: {text}" if self._title else text
        self._console.print(escape(line), style="dim", highlight=False)

    def end(self, record: StepRecord, again: bool) -> None:
        self._clear()
        figure = ""
        if isinstance(record, ModelStep):
            figure = f"test {say_score(record.run.metric, record.test_score)} "
        when = "done before" if again else say_seconds(record.seconds)
        self._console.print(
            f"[bold]{SECTIONS[record.step].title:<16}[/bold] [green]{escape(figure)}[/green]"
            f"[dim]{when}[/dim]",
            highlight=False,
        )
        self._console.print(f"  {escape(record.answer)}", highlight=False)


@contextmanager
def show_download(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows (bytes done, bytes in all), a bar or a line each tenth."""
    columns = (progress.DownloadColumn(), progress.TransferSpeedColumn())
    with _show_share(f"download {what}", columns) as show:
        yield show


@contextmanager
def show_images(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows (images done, images in all), a bar or a line each tenth."""
    with _show_share(what, (progress.MofNCompleteColumn(),)) as show:
        yield show


@contextmanager
def _show_share(
    what: str, columns: tuple[progress.ProgressColumn, ...]
) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    shown = -1
    with progress.Progress(
        progress.TextColumn(f"[bold]{escape(what)}"),
        progress.BarColumn(bar_width=28),
        *columns,
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:

        def show(done: int, total: int) -> None:
            nonlocal shown
            task = bar.task_ids[0] if bar.task_ids else bar.add_task("", total=total)
            bar.update(task, completed=done)
            tenth = 10 * done // max(1, total)
            if not console.is_terminal and tenth > shown:
                shown = tenth
                console.print(f"{escape(what)}: {10 * tenth} %", highlight=False)

        yield show
