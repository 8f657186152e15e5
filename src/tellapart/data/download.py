"""Download a file over https: whole and with the expected content, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin

from tellapart.errors import DataError
from tellapart.stop import check_stop

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

TIMEOUT_SECONDS = 30.0
PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each attempt."""
_SPARE = 64 << 20
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)


def check_digest(name: str, content: bytes | memoryview, official: str) -> None:
    """Raise a DataError where content does not have the official SHA-256, hexadecimal."""
    found = hashlib.sha256(content).hexdigest()
    if found != official:
        raise DataError(
            f"{name} is altered, or of another data set: its content must have the official "
            f"SHA-256 {official[:12]}..., but has {found[:12]}..."
        )


def _check_address(url: str) -> None:
    if not url.lower().startswith("https://"):
        raise DataError(f"downloads go over https only, but the address is {url}; use https")


def _check_answer(answer: requests.Response, **options: object) -> None:
    """Refuse an answer that leads to an address that is not https; have none unpacked."""
    answer.raw.headers.pop("Content-Encoding", None)  # some servers say it of any .gz file
    if answer.is_redirect:
        try:
            _check_address(urljoin(answer.url, answer.headers["location"]))
        except DataError:
            answer.close()
            raise


def fetch_https(url: str, stream: BinaryIO, verify: bool | str) -> None:
    """Write what an https address gives, trusting certificates in ``verify``, or certifi's if True.

    Raises:
        DataError: it leads to an address that is not https.
        RequestException: no answer, not all of it, or one that says no.
    """
    import pooch

    pooch.HTTPDownloader(
        chunk_size=1 << 20,
        timeout=TIMEOUT_SECONDS,
        verify=verify,
        hooks={"response": _check_answer},
        headers={"User-Agent": "tellapart", "Accept-Encoding": "identity"},
    )(url, stream, None)


def download_file(
    url: str,
    destination: Path,
    size: int,
    sha256: str,
    progress: Progress | None = None,
    fetch: Callable[[str, BinaryIO, bool | str], None] = fetch_https,
) -> Path:
    """Download ``url`` to ``destination`` and return it; a whole file that is there is kept.

    The content goes to a file of its own beside, is checked, and only then takes the name.
    A failing connection is tried three times.

    Args:
        size: expected bytes.
        sha256: expected, hexadecimal.
        fetch: writes what an address gives; another one in tests.

    Raises:
        DataError: not https, no network, no space, or not the expected content.
    """
    import pooch
    import requests

    def download(url: str, beside: str, _: object) -> None:
        free = shutil.disk_usage(destination.parent).free
        if free < size + _SPARE:
            raise DataError(
                f"{destination} needs {(size + _SPARE) / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB "
                "are free; free space, or name another TELLAPART_CACHE"
            )
        for number, pause in enumerate(PAUSES, 1):
            time.sleep(pause)
            os.unlink(beside)  # made anew with the rights that other files have
            try:
                with open(beside, "xb") as file:
                    stream: Any = _Counted(file, size, progress)
                    fetch(url, stream, _choose_certificates(number))
                    if stream.done != size:
                        raise requests.ConnectionError(f"{stream.done:,} of {size:,} bytes came")
                    os.fsync(file.fileno())
                return
            except requests.RequestException as error:
                code = None if error.response is None else error.response.status_code
                if number == len(PAUSES) or (code and code not in _WORTH_A_RETRY):
                    raise

    _check_address(url)
    pooch.get_logger().setLevel("WARNING")
    name, folder = destination.name, destination.parent
    try:
        pooch.retrieve(url, f"sha256:{sha256}", name, folder, downloader=download)
    except requests.RequestException as error:
        raise DataError(
            f"{name} could not be downloaded ({_explain(error)}); on a machine with a "
            f"network fetch {url} and put it at {destination}"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{url} gave other content than expected (its SHA-256 is not {sha256[:12]}...); "
            f"try again, or put a good copy at {destination}"
        ) from error
    except OSError as error:
        raise DataError(
            f"{destination} cannot be written ({error.strerror or error}); "
            "free space, or name another cache folder in TELLAPART_CACHE"
        ) from error
    return destination


class _Counted:
    """A file that counts what is written to it, and takes no more than is expected."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self._file, self._size, self._progress = file, size, progress
        self.flush, self.done = file.flush, 0

    def write(self, block: bytes) -> None:
        import requests

        self.done += len(block)
        if self.done > self._size:
            raise requests.ConnectionError(f"more than {self._size:,} bytes came")
        self._file.write(block)
        check_stop()
        if self._progress is not None:
            self._progress(self.done, self._size)


def _choose_certificates(attempt: int) -> bool | str:
    """Return those that the environment names, else certifi's and the system's in turn.

    A network whose own proxy opens every connection has its certificate among the system's.
    """
    import ssl

    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    paths = ssl.get_default_verify_paths()
    return named or (attempt % 2 == 0 and (paths.cafile or paths.capath)) or True


def _explain(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code}"
    cause: object = error.args[0] if error.args else error
    with suppress(AttributeError):  # urllib3 wraps what it could not do
        cause = cause.reason  # type: ignore[attr-defined]
    return str(cause).partition("): ")[2] or str(cause) or "no answer"
