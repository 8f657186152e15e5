import hashlib
import http.server
import shutil
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import requests

from tellapart.data import download
from tellapart.data.download import Progress, download_file
from tellapart.errors import DataError, Interrupted
from tellapart.stop import ask_stop, clear_stop

URL = "https://example.org/files/archive.tar.gz"
CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FakeNetwork:
    """Gives the next answer at each call: bytes, or an error to raise."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.trusted: list[bool | str] = []

    @property
    def calls(self) -> int:
        return len(self.trusted)

    def __call__(self, url: str, stream: BinaryIO, verify: bool | str) -> None:
        self.trusted.append(verify)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for start in range(0, len(answer), 2**20):
            stream.write(answer[start : start + 2**20])
            stream.flush()


def make_answer(code: int) -> requests.Response:
    answer = requests.Response()
    answer.status_code = code
    return answer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))


def fetch(
    folder: Path, network: FakeNetwork, sha256: str = SHA256, progress: Progress | None = None
) -> Path:
    place = folder / "a" / "archive.tar.gz"
    return download_file(URL, place, len(CONTENT), sha256, progress, network)


def test_a_good_answer_is_written_whole_with_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    network = FakeNetwork(CONTENT)
    path = fetch(tmp_path, network, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert [item.name for item in path.parent.iterdir()] == ["archive.tar.gz"]
    (tmp_path / "other").write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_whole_file_is_kept_and_a_damaged_one_replaced(tmp_path: Path) -> None:
    fetch(tmp_path, FakeNetwork(CONTENT))
    network = FakeNetwork(CONTENT)
    path = fetch(tmp_path, network)
    assert network.calls == 0
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch(tmp_path, network).read_bytes() == CONTENT
    assert network.calls == 1


def test_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    network = FakeNetwork(CONTENT)
    with pytest.raises(DataError, match="other content than expected"):
        fetch(tmp_path, network, sha256="0" * 64)
    assert not any((tmp_path / "a").iterdir())


def test_a_connection_that_breaks_is_tried_three_times(tmp_path: Path) -> None:
    network = FakeNetwork(requests.ConnectionError("reset"), CONTENT[:1000], CONTENT)
    assert fetch(tmp_path, network).read_bytes() == CONTENT
    assert network.calls == 3


def test_offline_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    network = FakeNetwork(*[requests.ConnectionError("no route to host")] * 3)
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, network)
    message = str(caught.value)
    assert "no route to host" in message
    assert URL in message
    assert str(tmp_path / "a" / "archive.tar.gz") in message
    assert not any((tmp_path / "a").iterdir())


def test_not_found_is_not_tried_again(tmp_path: Path) -> None:
    network = FakeNetwork(requests.HTTPError("404", response=make_answer(404)), CONTENT)
    with pytest.raises(DataError, match="answered 404"):
        fetch(tmp_path, network)
    assert network.calls == 1
    busy = FakeNetwork(requests.HTTPError("503", response=make_answer(503)), CONTENT)
    assert fetch(tmp_path, busy).read_bytes() == CONTENT


def test_the_certificates_of_the_system_are_tried_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    network = FakeNetwork(requests.exceptions.SSLError("unknown issuer"), CONTENT)
    fetch(tmp_path / "1", network)
    assert network.trusted[0] is True
    monkeypatch.setenv("SSL_CERT_FILE", "/own/certificates.pem")
    network = FakeNetwork(CONTENT)
    fetch(tmp_path / "2", network)
    assert network.trusted == ["/own/certificates.pem"]


def test_a_stop_ends_a_download_and_leaves_nothing(tmp_path: Path) -> None:
    ask_stop()
    try:
        with pytest.raises(Interrupted):
            fetch(tmp_path, FakeNetwork(CONTENT))
    finally:
        clear_stop()
    assert not any((tmp_path / "a").iterdir())


def test_more_bytes_than_announced_are_not_written(tmp_path: Path) -> None:
    network = FakeNetwork(*[CONTENT + bytes(5_000_000)] * 3)
    with pytest.raises(DataError, match="more than"):
        fetch(tmp_path, network)


def test_a_full_disk_is_seen_before(tmp_path: Path) -> None:
    network = FakeNetwork(CONTENT)
    with pytest.raises(DataError, match="are free"):
        download_file(URL, tmp_path / "x", 2**60, SHA256, fetch=network)
    assert network.calls == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(tmp_path, FakeNetwork(CONTENT))


def test_a_server_without_tls_is_never_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
            with pytest.raises(DataError, match="https only"):
                download_file(url, tmp_path / "x", 10, SHA256)
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


@pytest.mark.parametrize("url", ["http://a.org/x", "file:///etc/passwd", "ftp://a.org/x", ""])
def test_other_schemes_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="https only"):
        download_file(url, tmp_path / "x", 10, SHA256)


@pytest.fixture
def https_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine whose certificate is trusted; it gives CONTENT, or leads away."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is absent: no certificate for a server on this machine")
    made = [tmp_path / "key.pem", tmp_path / "certificate.pem"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(made[0]), "-out", str(made[1])]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made[1]))
    monkeypatch.setenv("NO_PROXY", "localhost")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            leads = {"/away": "http://localhost/x", "/moved": "/archive.tar.gz"}
            self.send_response(302 if self.path in leads else 200)
            if self.path in leads:
                self.send_header("Location", leads[self.path])
            self.send_header("Content-Length", "0" if self.path in leads else str(len(CONTENT)))
            self.send_header("Content-Encoding", "gzip")  # as some have it for a .gz file
            self.end_headers()
            if self.path not in leads:
                self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[1], made[0])
    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_is_asked_over_https_and_followed(https_server: str, tmp_path: Path) -> None:
    size = len(CONTENT)
    for name in ("archive.tar.gz", "moved"):
        path = download_file(f"{https_server}/{name}", tmp_path / name, size, SHA256)
        assert path.read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"https only.*http://localhost/x"):
        download_file(f"{https_server}/away", tmp_path / "away", size, SHA256)
    with pytest.raises(DataError, match="could not be downloaded"):
        download_file(f"{https_server}/cut", tmp_path / "cut", size, SHA256)
    assert not (tmp_path / "away").exists()
    assert not (tmp_path / "cut").exists()


def test_a_certificate_that_nobody_vouches_for_is_refused(
    https_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DataError, match=r"could not be downloaded.*certificate"):
        download_file(f"{https_server}/x", tmp_path / "x", len(CONTENT), SHA256)
