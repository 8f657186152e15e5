"""What a person is told is left."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from tellapart.console import ConsoleReporter
from tellapart.records import EpochRow
from tellapart.study.reporter import TrainingWatch


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


def test_no_time_is_named_while_nothing_is_done(watched: Watched) -> None:
    watched.reporter.begin("transfer", 50_000)
    watched.now += 39
    watched.reporter.advance(0, "an engine is made")
    watched.reporter.skip(0, "nothing read")
    watched.now += 20
    watched.reporter.advance(5000, "features")
    assert watched.say_last() == "6 transfer: 10 %, about 3 min 00 s left; features"


def test_time_left_follows_the_pace_of_the_last_part(watched: Watched) -> None:
    """A slow start, or a quick one, is forgotten."""
    watched.reporter.begin("search", 100)
    watched.now += 100
    watched.reporter.advance(10, "slow")
    assert watched.say_last() == "5 search: 10 %, about 15 min 00 s left; slow"
    for _ in range(9):
        watched.now += 15
        watched.reporter.advance(5, "quick")
    assert watched.say_last().startswith("5 search: 50 %")  # 55 % is in no new tenth
    watched.now += 15
    watched.reporter.advance(5, "quick")
    assert watched.say_last() == "5 search: 60 %, about 2 min 00 s left; quick"


def test_trainings_that_end_together_do_not_halve_what_is_left(watched: Watched) -> None:
    watched.reporter.begin("conv", 40)
    watched.now += 100
    watched.reporter.advance(4, "one")
    watched.reporter.advance(4, "two")
    assert watched.say_last() == "3 conv sweep: 20 %, about 6 min 40 s left; two"


def test_another_kind_of_work_has_its_own_pace(watched: Watched) -> None:
    watched.reporter.begin("search", 40)
    watched.now += 1000
    watched.reporter.advance(20, "trials")
    watched.reporter.expect(10)
    watched.now += 10
    watched.reporter.advance(5, "the winner")
    assert watched.say_last() == "5 search: 83 %, about 10 s left; the winner"


def test_what_was_done_before_took_no_time(watched: Watched) -> None:
    watched.reporter.begin("conv", 40)
    watched.now += 1
    watched.reporter.skip(20, "read")
    watched.now += 10
    watched.reporter.advance(10, "trained")
    assert watched.say_last() == "3 conv sweep: 50 %, about 10 s left; trained"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_line_fits_44_columns(encoding: str) -> None:
    """The description is cut; bar and per cent stay, and nothing is an escape."""
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding, errors="backslashreplace", write_through=True)
    console = Console(file=text, width=44, force_terminal=True, color_system=None)
    with ConsoleReporter(console) as reporter:
        reporter.begin("dense", 10)
        reporter.advance(4, "dense-2048-seed-1: epoch 4, accuracy 93.1 %, and so on and on")
        reporter.advance(0.5, "a training with a name that is far too long for the line")
    (last,) = [line for line in re.split(r"[\r\n]|\x1b\[2K", raw.getvalue().decode(encoding))
               if "45 %" in line][-1:]  # fmt: skip
    assert len(last.rstrip()) <= 44 and last.startswith("4 dense sweep ")
    assert re.search("[-━]{3}", last) and "\\u" not in last


def make_row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch, seconds=9.0, lr=0.1, loss=0.5, accuracy=0.5, val_loss=0.5, val_accuracy=0.75
    )


def test_a_long_epoch_shows_its_batches(watched: Watched) -> None:
    watched.reporter.begin("baseline", 1)
    show = TrainingWatch(watched.reporter, "simple")
    for step in range(80):
        watched.now += 1
        show.show_part((step + 1) / 80)
    assert watched.say_last() == "2 baseline: 90 %, about 8.0 s left; simple: epoch 1, 90 % of it"
    show(make_row(1))


def test_short_epochs_show_no_batches_and_earlier_ones_are_skipped(watched: Watched) -> None:
    watched.reporter.begin("baseline", 10)
    show = TrainingWatch(watched.reporter, "simple")
    show.show_part(6.5)
    watched.now += 1
    show(make_row(7))
    assert watched.say_last() == "2 baseline: 25 %; simple: epoch 7, accuracy 75.0 %"
    watched.now += 1
    show(make_row(8))
    assert watched.say_last() == (
        "2 baseline: 50 %, about 2.0 s left; simple: epoch 8, accuracy 75.0 %"
    )
