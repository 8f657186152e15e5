from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tellapart.errors import Interrupted
from tellapart.stop import (
    SIGNALS,
    ask_stop,
    catch_signals,
    check_stop,
    clear_stop,
    find_stop,
    is_stop_asked,
)


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    """No stop asked for, and signals heard even where the tests run in a shell's background."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    clear_stop()


def test_work_goes_on_until_a_stop_is_asked_for() -> None:
    check_stop()
    assert not is_stop_asked()
    ask_stop(signal.SIGTERM)
    assert is_stop_asked()
    with pytest.raises(Interrupted, match=r"by SIGTERM; the same command goes on") as got:
        check_stop()
    assert got.value.exit_code == 3
    clear_stop()
    check_stop()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_the_flag_and_nothing_else(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with catch_signals():
        os.kill(os.getpid(), number)
        assert is_stop_asked()
        with pytest.raises(Interrupted, match=number.name):
            check_stop()
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert not is_stop_asked()


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As in a shell's background, where Ctrl-C is for the foreground."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with catch_signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert not is_stop_asked()


def test_a_second_signal_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), catch_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal was not heard")
    assert not is_stop_asked()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_terminal_that_closes_may_say_so_more_than_once() -> None:
    """A shell tells its jobs, and the system tells them again when the shell is gone."""
    with catch_signals():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert find_stop() == signal.SIGHUP


def test_a_third_signal_kills() -> None:
    code = (
        "import os, signal, time\n"
        "from tellapart.stop import catch_signals\n"
        "with catch_signals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == -signal.SIGTERM


def test_other_threads_leave_handlers_alone() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    found: list[object] = []

    def look() -> None:
        with catch_signals():
            found.extend(signal.getsignal(each) for each in SIGNALS)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == before


HANGS = {
    "in a library": "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2**31 - 1)",
    "in a thread": "pool.submit(open, sys.argv[1]).result()",
    "deaf": "hang_deaf()",
}
BUSY = """
import hashlib, sys, time
from concurrent.futures import ThreadPoolExecutor
from tellapart.stop import catch_signals

def hang_deaf():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

with catch_signals(), ThreadPoolExecutor() as pool:
    print("ready", flush=True)
    {}
"""


@pytest.mark.parametrize("hang", HANGS)
def test_a_second_signal_ends_what_hangs(hang: str, tmp_path: Path) -> None:
    """Handlers cannot run, or the work does not end for them."""
    os.mkfifo(tmp_path / "fifo")
    code = BUSY.format(HANGS[hang])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "fifo")], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.5)  # for the work to hang
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 3
        finally:
            process.kill()
