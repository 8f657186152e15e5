"""What a person is told is left."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from tellapart.console import ConsoleReporter


class Watched:
    """A reporter whose clock the test moves, and what it said last."""

    def __init__(self, reporter: ConsoleReporter, text: io.StringIO) -> None:
        self.reporter, self._text = reporter, text
        self.now = 100.0

    def say_last(self) -> str:
        return self._text.getvalue().strip().splitlines()[-1]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    text = io.StringIO()
    with ConsoleReporter(Console(file=text, width=200)) as reporter:
        found = Watched(reporter, text)
        monkeypatch.setattr(time, "monotonic", lambda: found.now)
        yield found


def test_time_left_is_the_pace_or_what_the_plan_says(watched: Watched) -> None:
    watched.reporter.begin("search", 10, seconds=1000)
    watched.now += 60
    watched.reporter.advance(1, "one")
    assert watched.say_last() == "5 search: 10 %, about 15 min 40 s left; one"
    watched.now += 1140
    watched.reporter.advance(1, "two")  # slower than planned: the pace counts
    assert watched.say_last() == "5 search: 20 %, about 1 h 20 min left; two"


def test_what_is_left_may_become_less(watched: Watched) -> None:
    """A search that gives up seconds, and trials, ends before its first plan would have it."""
    watched.reporter.begin("search", 70, seconds=1400)
    watched.now += 600
    watched.reporter.advance(20, "trials")
    watched.reporter.expect(400, 10)
    watched.now += 60
    watched.reporter.advance(1, "the winner")  # its seconds count: the pace would have 4 min 43 s
    assert watched.say_last() == "5 search: 70 %, about 5 min 40 s left; the winner"
    watched.reporter.expect(30)
    watched.reporter.advance(3, "more")  # the pace counts
    assert watched.say_last() == "5 search: 80 %, about 2 min 45 s left; more"


def test_seconds_that_are_not_known_follow_from_the_pace(watched: Watched) -> None:
    watched.reporter.begin("search", 40, seconds=4000)
    watched.now += 100
    watched.reporter.advance(10, "trials")
    watched.reporter.expect(0, 10)
    watched.reporter.advance(5, "the winner")
    assert watched.say_last() == "5 search: 75 %, about 33 s left; the winner"
