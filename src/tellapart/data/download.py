"""Download a file over https: whole and with the expected content, or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Protocol

from tellapart.errors import DataError
from tellapart.stop import check_stop

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


class Response(Protocol):
    """The part of an answer that a download needs."""

    def read(self, amount: int, /) -> bytes:
        """Return at most ``amount`` bytes; none at the end."""


Opener = Callable[[str], AbstractContextManager[Response]]

TIMEOUT_SECONDS = 30.0
PAUSES = (1.0, 4.0)
_BLOCK = 1 << 20
_SPARE = 64 << 20
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and refuses all others."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl)
        except DataError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_address(url: str) -> None:
    """Refuse an address that is not https.

    Raises:
        DataError: another scheme.
    """
    if not url.lower().startswith("https://"):
        raise DataError(f"downloads go over https only, but the address is {url}; use https")


def open_address(url: str) -> AbstractContextManager[Response]:
    """Open an https address, with the system's certificates and certifi's.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, where set, are honoured instead of certifi's.
    """
    check_address(url)
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        import certifi

        context.load_verify_locations(certifi.where())
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), _HttpsRedirects()
    )
    request = urllib.request.Request(url, headers={"User-Agent": "tellapart"})
    answer: AbstractContextManager[Response] = opener.open(request, timeout=TIMEOUT_SECONDS)
    return answer


def download_file(
    url: str,
    destination: Path,
    size: int,
    sha256: str,
    progress: Progress | None = None,
    open_url: Opener = open_address,
) -> Path:
    """Download ``url`` to ``destination`` and return it; a whole file that is there is kept.

    The content goes to a file of its own beside, is checked, and only then takes the name.
    A failing connection is tried three times.

    Args:
        url: an https address.
        destination: the file to make; its folder is made if missing.
        size: expected bytes.
        sha256: expected SHA-256, hexadecimal.
        progress: called with (bytes done, bytes in all).
        open_url: opens the address; another one in tests.

    Raises:
        DataError: not https, no network, no space, or not the expected content.
    """
    check_address(url)
    if _is_whole(destination, size, sha256):
        return destination
    beside = destination.with_name(f".{destination.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _check_space(destination.parent, size)
        _fetch_patiently(url, beside, size, open_url, progress or _say_nothing)
        found = _hash_file(beside)
        if found != sha256:
            raise DataError(
                f"{url} gave other content than expected (SHA-256 {found[:12]}..., expected "
                f"{sha256[:12]}...); try again, or put a good copy at {destination}"
            )
        os.replace(beside, destination)
    except _Unreachable as error:
        raise DataError(
            f"{destination.name} could not be downloaded ({error}); on a machine with a network "
            f"fetch {url} and put it at {destination}"
        ) from error
    except OSError as error:
        raise DataError(
            f"{destination} cannot be written ({error.strerror or error}); "
            "free space, or name another cache folder in TELLAPART_CACHE"
        ) from error
    finally:
        with suppress(OSError):  # nothing was written
            beside.unlink()
    return destination


class _Unreachable(Exception):
    """The address could not be read to its end."""


def _fetch_patiently(
    url: str, beside: Path, size: int, open_url: Opener, progress: Progress
) -> None:
    for pause in (*PAUSES, None):
        try:
            _fetch_once(url, beside, size, open_url, progress)
            return
        except _Unreachable as error:
            if pause is None or not _is_passing(error.__cause__):
                raise
            time.sleep(pause)


def _fetch_once(url: str, beside: Path, size: int, open_url: Opener, progress: Progress) -> None:
    done = 0
    with open(beside, "wb") as stream:
        try:
            with open_url(url) as answer:
                while block := answer.read(_BLOCK):
                    done += len(block)
                    if done > size:
                        break
                    _write_block(stream, block)
                    check_stop()
                    progress(done, size)
        except urllib.error.HTTPError as error:
            error.close()
            raise _Unreachable(f"the server answered {error.code}") from error
        except (OSError, HTTPException) as error:
            raise _Unreachable(str(getattr(error, "reason", error)) or "no answer") from error
        except _WriteError as error:
            raise error.inner from error
        stream.flush()
        os.fsync(stream.fileno())
    if done != size:
        amount = f"more than {size:,}" if done > size else f"{done:,}"
        raise _Unreachable(f"{amount} bytes came, {size:,} expected")


class _WriteError(Exception):
    """Writing failed, not reading: carried past the handling of connections."""

    def __init__(self, inner: OSError) -> None:
        super().__init__(str(inner))
        self.inner = inner


def _write_block(stream: IO[bytes], block: bytes) -> None:
    try:
        stream.write(block)
    except OSError as error:
        raise _WriteError(error) from error


def _is_passing(cause: BaseException | None) -> bool:
    return not isinstance(cause, urllib.error.HTTPError) or cause.code in _WORTH_A_RETRY


def _check_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise DataError(
            f"the download needs {(size + _SPARE) / 1e6:,.0f} MB in {folder}, but "
            f"{free / 1e6:,.0f} MB are free; free space, or name another TELLAPART_CACHE"
        )


def _is_whole(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and _hash_file(path) == sha256


def _hash_file(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _say_nothing(done: int, total: int) -> None:
    """Show no progress."""
