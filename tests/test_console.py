"""What a person is told is left."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tellapart.cells.reporter import TrainingWatch
from tellapart.console import ConsoleReporter
from tellapart.records import EpochRow
from tellapart.words import show_controls


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
    assert watched.say_last() == "Transfer: 10 %, about 3 min 00 s left; features"


def test_time_left_follows_the_pace_of_the_last_part(watched: Watched) -> None:
    """A slow start, or a quick one, is forgotten."""
    watched.reporter.begin("search", 100)
    watched.now += 100
    watched.reporter.advance(10, "slow")
    assert watched.say_last() == "Search: 10 %, about 15 min 00 s left; slow"
    for _ in range(9):
        watched.now += 15
        watched.reporter.advance(5, "quick")
    assert watched.say_last().startswith("Search: 50 %")  # 55 % is in no new tenth
    watched.now += 15
    watched.reporter.advance(5, "quick")
    assert watched.say_last() == "Search: 60 %, about 2 min 00 s left; quick"


def test_trainings_that_end_together_do_not_halve_what_is_left(watched: Watched) -> None:
    watched.reporter.begin("conv", 40)
    watched.now += 100
    watched.reporter.advance(4, "one")
    watched.reporter.advance(4, "two")
    assert watched.say_last() == "Convolution size: 20 %, about 6 min 40 s left; two"


def test_another_kind_of_work_has_its_own_pace(watched: Watched) -> None:
    watched.reporter.begin("search", 40)
    watched.now += 1000
    watched.reporter.advance(20, "trials")
    watched.reporter.expect(10)
    watched.now += 10
    watched.reporter.advance(5, "the winner")
    assert watched.say_last() == "Search: 83 %, about 10 s left; the winner"


def test_what_was_done_before_took_no_time(watched: Watched) -> None:
    watched.reporter.begin("conv", 40)
    watched.now += 1
    watched.reporter.skip(20, "read")
    watched.now += 10
    watched.reporter.advance(10, "trained")
    assert watched.say_last() == "Convolution size: 50 %, about 10 s left; trained"


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
    assert len(last.rstrip()) <= 44 and last.startswith("Dense size ")
    assert re.search("[-━]{3}", last) and "\\u" not in last


def make_row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        seconds=9.0,
        lr=0.1,
        loss=0.5,
        accuracy=0.5,
        val_loss=0.5,
        val_accuracy=0.75,
        val_score=0.75,
    )


def test_a_long_epoch_shows_its_batches(watched: Watched) -> None:
    watched.reporter.begin("baseline", 1)
    show = TrainingWatch(watched.reporter, "simple")
    for step in range(80):
        watched.now += 1
        show.show_part((step + 1) / 80)
    assert watched.say_last() == "Baseline: 90 %, about 8.0 s left; simple: epoch 1, 90 % of it"
    show(make_row(1))


def test_short_epochs_show_no_batches_and_earlier_ones_are_skipped(watched: Watched) -> None:
    watched.reporter.begin("baseline", 10)
    show = TrainingWatch(watched.reporter, "simple")
    show.show_part(6.5)
    watched.now += 1
    show(make_row(7))
    assert watched.say_last() == "Baseline: 25 %; simple: epoch 7, val score 75.0 %"
    watched.now += 1
    show(make_row(8))
    assert watched.say_last() == (
        "Baseline: 50 %, about 2.0 s left; simple: epoch 8, val score 75.0 %"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07.png", r"\x1b]0;title\x07.png"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("gpj.\u202efdp", r"gpj.\u202efdp"),
        ("Größe 大 \u200d ½", "Größe 大 \u200d ½"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert show_controls(text) == shown


def test_line_breaks_of_an_answer_stay() -> None:
    assert show_controls("one\n\x1btwo", lines=True) == "one\n\\x1btwo"


def test_a_reporter_sends_nothing_to_the_terminal(watched: Watched) -> None:
    watched.reporter.begin("search", 1)
    watched.reporter.say("[red]\x1b[2J\nname")
    assert watched.say_last() == r"Search: [red]\x1b[2J\nname"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, one with a name that would colour the terminal, and a damaged file."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    noise = np.random.default_rng(0)
    for name in ("dark \x1b[31mred", "Größe"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "Größe" / "\x1b]0;title\x07\n.png").write_bytes(b"damaged")
    return folder


def inspect(
    photos: Path, out: Path | bytes, redirect: str = "", *flags: str, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tellapart", "inspect", photos, "--out", out, *flags]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        capture_output=True,
        env=os.environ | environ,
        check=False,
    )


def test_names_are_printed_without_control_characters(photos: Path, tmp_path: Path) -> None:
    done = inspect(photos, tmp_path / "out")
    assert done.returncode == 0
    assert not set(done.stdout + done.stderr) & ({*range(32), 127} - {ord("\n")})
    assert rb"left out: " in done.stderr and rb"\x1b]0;title\x07\n.png: not an" in done.stderr
    assert b"\x1b" not in inspect(photos / "\x1b[2J", tmp_path / "none").stderr


@pytest.mark.parametrize(
    "redirect", [pytest.param("2>/dev/full", marks=pytest.mark.slow), "<&- >&- 2>&-"]
)
def test_streams_that_take_nothing_stop_no_work(
    redirect: str, photos: Path, tmp_path: Path
) -> None:
    done = inspect(photos, tmp_path / "out", redirect)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_answer_that_a_full_disk_does_not_take_is_told_in_a_line(
    flags: tuple[str, ...], photos: Path, tmp_path: Path
) -> None:
    done = inspect(photos, tmp_path / "out", ">/dev/full", *flags)
    assert done.returncode == 2
    last = done.stderr.decode().strip().splitlines()[-1]
    assert "could not be written to standard output (No space left on device)" in last
    assert (tmp_path / "out" / "report.html").is_file()


def test_json_is_whole_in_ascii_too(photos: Path, tmp_path: Path) -> None:
    done = inspect(photos, tmp_path / "out", "", "--json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    classes = json.loads(done.stdout)["data"]["classes"]
    assert sorted(classes) == sorted([r"dark \x1b[31mred", "Größe"])


@pytest.mark.slow
def test_an_out_with_bytes_that_are_not_utf_8_has_a_report(photos: Path, tmp_path: Path) -> None:
    out = os.fsencode(tmp_path) + b"/caf\xe9"
    for _ in range(2):
        done = inspect(photos, out)
        assert done.returncode == 0, done.stderr
    assert rb"caf\udce9/report.html" in done.stdout
    assert rb"caf\xe9" in Path(os.fsdecode(out), "report.html").read_bytes()


@pytest.mark.parametrize("command", ["doctor", "inspect"])
def test_nobody_s_home_is_told_in_a_line(command: str, tmp_path: Path) -> None:
    code = (
        "import os, pwd, sys\n"
        "for name in ('HOME', 'TELLAPART_CACHE'):\n    os.environ.pop(name, None)\n"
        "def find_nobody(number):\n    raise KeyError(number)\n"
        "pwd.getpwuid = find_nobody  # as for a user whom the system does not know\n"
        "from tellapart.cli import run\nrun()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"tellapart: a home folder is needed")
    assert done.stderr.count(b"\n") == 1 and list(tmp_path.iterdir()) == []
