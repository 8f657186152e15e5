"""What a person is told is left."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tellapart.console import ConsoleReporter, show_controls


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
    assert watched.say_last() == r"5 search: [red]\x1b[2J\nname"


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


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", ">&-", "<&- >&- 2>&-"])
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
    assert sorted(classes) == sorted(["dark \x1b[31mred", "Größe"])


def test_an_out_with_bytes_that_are_not_utf_8_has_a_report(photos: Path, tmp_path: Path) -> None:
    out = os.fsencode(tmp_path) + b"/caf\xe9"
    for _ in range(2):
        done = inspect(photos, out)
        assert done.returncode == 0, done.stderr
    assert rb"caf\udce9/report.html" in done.stdout
    assert rb"caf\udce9" in Path(os.fsdecode(out), "report.html").read_bytes()


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
