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
from rich.table import Column

from tellapart.cells.reporter import Reporter
from tellapart.records import ModelStep, StepRecord
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_score, say_seconds
from tellapart.words import show_controls


def name_step(step: str) -> str:
    """Return what a step is called where its progress is shown."""
    return SECTIONS[step].title


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
        self._live = console.is_terminal
        narrow = console.width < 100
        self._shows_text = console.width >= 60
        self._progress = Progress(
            TextColumn("[bold]{task.fields[title]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=8 if narrow else 28),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            *(() if narrow else (TimeElapsedColumn(),)),
            TextColumn(
                "{task.fields[left]}{task.description}",
                table_column=Column(ratio=1, no_wrap=True, overflow="crop"),
            ),
            console=console,
            transient=True,
            disable=not self._live,
            expand=True,
        )
        self._task: TaskID | None = None
        self._step: str | None = None
        self._units, self._done = 1.0, 0.0
        self._marks: list[tuple[float, float]] = []

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

    def begin(self, step: str, units: float) -> None:
        if self._task is not None:  # of work that had no record of its own
            self._progress.remove_task(self._task)
        self._step, self._done = step, 0.0
        if self._live:
            self._task = self._progress.add_task("", total=units, title=name_step(step), left="")
        else:
            self._console.print(f"{name_step(step)}: started", highlight=False)
        self.expect(units)

    def advance(self, units: float, text: str) -> None:
        before, self._done = self._done, self._done + units
        if units:
            self._marks.append((time.monotonic(), self._done))
        if self._task is not None:
            self._update(text)
            return
        share, last = (round(100 * done / self._units, 6) for done in (self._done, before))
        if last // 10 < share // 10 < 10:
            assert self._step is not None, "a step began"
            line = f"{name_step(self._step)}: {share:.0f} %{self._say_left(', ')}; {text}"
            self._console.print(escape(line), style="dim", highlight=False)

    def _say_left(self, before: str = "") -> str:
        """Say what is left at the pace of the last part; nothing while nothing is done."""
        if len(self._marks) < 2:
            return ""
        (first, _), (now, done) = self._marks[0], self._marks[-1]
        # the later half of the time: what was slow, or quick, at the start says little of the rest
        since, had = max(mark for mark in self._marks[:-1] if mark[0] <= (first + now) / 2)
        pace = (now - since) / (done - had)
        if not pace:  # what was skipped and what was done came in one moment
            return ""
        return f"{before}about {say_seconds(pace * max(0.0, self._units - done))} left"

    def expect(self, units: float) -> None:
        self._units = max(self._done + units, 1e-9)
        self._restart()

    def skip(self, units: float, text: str) -> None:
        self._units = max(self._units - units, 1e-9)
        self._restart(text)

    def _restart(self, text: str = "") -> None:
        """Measure the pace from now on."""
        self._marks = [(time.monotonic(), self._done)]
        if self._task is not None:
            self._update(text)

    def _update(self, text: str) -> None:
        assert self._task is not None
        left = self._say_left()
        self._progress.update(
            self._task,
            total=self._units,
            completed=self._done,
            description=escape(text) if self._shows_text else "",
            left=f"{left}  " if left else "",
        )

    def say(self, text: str) -> None:
        line = text if self._step is None else f"{name_step(self._step)}: {text}"
        self._console.print(escape(line), style="dim", highlight=False)

    def end(self, record: StepRecord, again: bool) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        figure = (
            f"test {say_score(record.run.metric, record.test_score)}"
            if isinstance(record, ModelStep)
            else ""
        )
        when = "done before" if again else say_seconds(record.seconds)
        self._console.print(
            f"[bold]{name_step(record.step):<16}[/bold] [green]{escape(figure)}[/green]"
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
