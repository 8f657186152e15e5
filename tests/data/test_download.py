import hashlib
import http.server
import io
import threading
import urllib.error
import urllib.request
from contextlib import AbstractContextManager, closing
from http.client import HTTPMessage
from pathlib import Path

import pytest

from tellapart.data import download
from tellapart.data.download import Response, _HttpsRedirects, download_file, open_address
from tellapart.errors import DataError

URL = "https://example.org/files/archive.tar.gz"
CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FakeNetwork:
    """Gives the next answer at each call: bytes, or an error to raise."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self, url: str) -> AbstractContextManager[Response]:
        self.calls += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return closing(io.BytesIO(answer))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


def fetch(folder: Path, network: FakeNetwork, sha256: str = SHA256) -> Path:
    return download_file(
        URL, folder / "a" / "archive.tar.gz", len(CONTENT), sha256, open_url=network
    )


def test_a_good_answer_is_written_whole_with_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = download_file(
        URL,
        tmp_path / "archive.tar.gz",
        len(CONTENT),
        SHA256,
        lambda done, total: seen.append((done, total)),
        FakeNetwork(CONTENT),
    )
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert [item.name for item in tmp_path.iterdir()] == ["archive.tar.gz"]


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
    network = FakeNetwork(urllib.error.URLError("reset"), CONTENT[:1000], CONTENT)
    assert fetch(tmp_path, network).read_bytes() == CONTENT
    assert network.calls == 3


def test_offline_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    network = FakeNetwork(*[urllib.error.URLError("no route to host")] * 3)
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, network)
    message = str(caught.value)
    assert "no route to host" in message
    assert URL in message
    assert str(tmp_path / "a" / "archive.tar.gz") in message
    assert not any((tmp_path / "a").iterdir())


def test_not_found_is_not_tried_again(tmp_path: Path) -> None:
    missing = urllib.error.HTTPError(URL, 404, "Not Found", HTTPMessage(), io.BytesIO())
    network = FakeNetwork(missing, CONTENT)
    with pytest.raises(DataError, match="answered 404"):
        fetch(tmp_path, network)
    assert network.calls == 1


def test_more_bytes_than_announced_are_not_written(tmp_path: Path) -> None:
    network = FakeNetwork(*[CONTENT + bytes(5_000_000)] * 3)
    with pytest.raises(DataError, match="more than"):
        fetch(tmp_path, network)


def test_a_full_disk_is_seen_before(tmp_path: Path) -> None:
    network = FakeNetwork(CONTENT)
    with pytest.raises(DataError, match="are free"):
        download_file(URL, tmp_path / "x", 2**60, SHA256, open_url=network)
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
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(DataError, match="https only"):
        open_address(url)


def test_a_redirect_to_another_scheme_is_refused_and_closed() -> None:
    answer = io.BytesIO()
    request = urllib.request.Request(URL)
    with pytest.raises(DataError, match="https only"):
        _HttpsRedirects().redirect_request(
            request,
            answer,
            302,
            "Found",
            HTTPMessage(),
            "http://a.org/x",
        )
    assert answer.closed
