from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.errors import SettingError
from tellapart.predict.guard import is_loopback
from tellapart.predict.listen import check_access, name_hosts, open_socket
from tests.predict.serving import TOKEN, draw, post


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    check_access(host, "")
    assert "localhost" in name_hosts(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_others_need_one_that_cannot_be_guessed(host: str) -> None:
    with pytest.raises(SettingError, match=r"needs a token, such as --token \S{30}"):
        check_access(host, "")
    for token in ("short", "with a space in it", "ünïcödéünïcödéünïcödé"):
        with pytest.raises(SettingError, match="at least 16 characters"):
            check_access(host, token)
    check_access(host, TOKEN)
    assert not is_loopback(host) and name_hosts(host) == ()


def test_a_port_in_use_is_named() -> None:
    with open_socket("localhost", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(SettingError, match=f"--port must be free, but {port} is in use"):
            open_socket("127.0.0.1", port)
    with pytest.raises(SettingError, match="--port must be from 0 to 65535, but got 65536"):
        open_socket("127.0.0.1", 65_536)
    with pytest.raises(SettingError, match=r"this machine's own, but 192\.0\.2\.1 port 80"):
        open_socket("192.0.2.1", 80)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--port", "-1"], "--port must be from 0"),
        (["--error", "2"], "--error must be a share"),
    ],
)
def test_the_command_refuses_in_a_line(
    handed: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(handed), *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_folder_without_a_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path)]) == 2
    assert "a model is a study's folder" in capsys.readouterr().err


def test_what_is_not_installed_is_named(
    handed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("tellapart.predict")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(handed)]) == 2
    assert "pip install 'tellapart[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(handed: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tellapart", "serve", str(handed), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            page = process.stdout.readline().split(": ", 1)[1].split()[0]
            with urllib.request.urlopen(page, timeout=30) as answer:
                assert b"tellapart" in answer.read()
            port = int(page.rstrip("/").rpartition(":")[2])
            assert post(port, "/api/predict", draw())[0] == 200
            process.send_signal(number)
            assert process.wait(20) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
