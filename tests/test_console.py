"""What a person is told is left."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from tellapart.console import ConsoleReporter


def say_last(text: io.StringIO) -> str:
    return text.getvalue().strip().splitlines()[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_time_left_is_the_pace_or_what_the_plan_says(clock: list[float]) -> None:
    text = io.StringIO()
    with ConsoleReporter(Console(file=text, width=200)) as reporter:
        reporter.begin("search", 10, seconds=1000)
        clock[0] += 60
        reporter.advance(1, "one")
        assert say_last(text) == "5 search: 10 %, about 15 min 40 s left; one"
        clock[0] += 1140
        reporter.advance(1, "two")  # slower than planned: the pace counts
        assert say_last(text) == "5 search: 20 %, about 1 h 20 min left; two"


def test_what_is_left_may_become_less(clock: list[float]) -> None:
    """A search that gives up seconds, and trials, ends before its first plan would have it."""
    text = io.StringIO()
    with ConsoleReporter(Console(file=text, width=200)) as reporter:
        reporter.begin("search", 70, seconds=1400)
        clock[0] += 600
        reporter.advance(20, "trials")
        reporter.expect(300, 10)
        clock[0] += 60
        reporter.advance(1, "the winner")
        assert say_last(text) == "5 search: 70 %, about 4 min 43 s left; the winner"
        reporter.expect(30)
        reporter.advance(3, "more")
        assert say_last(text) == "5 search: 80 %, about 2 min 45 s left; more"
