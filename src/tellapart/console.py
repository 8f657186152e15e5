"""What a person sees while a study runs: a line a step, a bar while one works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
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
                console.print(f"download {what}: {10 * tenth} %", highlight=False, markup=False)

        yield show
