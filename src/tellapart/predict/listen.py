"""A server from its start to its end: where it listens, who may reach it, and how it stops."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn

from tellapart.errors import SettingError
from tellapart.predict.guard import OWN_NAMES, Guard, is_loopback
from tellapart.predict.predictor import Predictor
from tellapart.predict.serve import make_app
from tellapart.stop import is_stop_asked

LEAST_TOKEN = 16
"""Characters of the shortest token: a shorter one could be guessed."""
GRACE = 3
"""Seconds that requests have to end in when the server is asked to stop."""
MOST_CONNECTIONS = 500


class Server(uvicorn.Server):
    """A server that ends when tellapart is asked to stop; `stop` catches the signals."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # no generator
        return nullcontext()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or is_stop_asked()


def serve_model(
    predictor: Predictor,
    address: tuple[str, int] = ("127.0.0.1", 8765),
    token: str = "",
    error: float | None = None,
    started: Callable[[str], None] = print,
) -> None:
    """Serve a model until a stop is asked for; ``started`` is told the address of its page.

    Raises:
        SettingError: the host or port cannot be used, or the model cannot promise that ``error``.
    """
    host, port = address
    check_access(host, token)
    app = make_app(predictor, error, token, name_hosts(host))
    with open_socket(host, port) as listening:
        started(f"http://{_quote(host)}:{listening.getsockname()[1]}/")
        make_server(app).run([listening])


def make_server(app: Guard) -> Server:
    """Return what runs an application over sockets that listen."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a bad request is no news
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="error",
        log_config=None,  # a failure is said on standard error, nothing else is
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody may say another's address
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    return Server(config)


def check_access(host: str, token: str) -> None:
    """Refuse to listen to other machines without a token, and a token that could be guessed.

    Raises:
        SettingError: so it is.
    """
    such = f"such as --token {secrets.token_urlsafe(24)}"
    if not token and not is_loopback(host):
        raise SettingError(f"--host {host} lets other machines ask, and needs a token, {such}")
    if token and not re.fullmatch(rf"[!-~]{{{LEAST_TOKEN},}}", token):
        raise SettingError(
            f"--token must have at least {LEAST_TOKEN} characters, of ASCII and without spaces, "
            f"but got {len(token)} characters; take one {such}"
        )


def name_hosts(host: str) -> tuple[str, ...]:
    """Return the hosts that a request may mean; empty is any, where a token is needed anyway."""
    return (*OWN_NAMES, _quote(host)) if is_loopback(host) else ()


def _quote(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        SettingError: the port is in use or not allowed, or the host is not this machine.
    """
    if not 0 <= port <= 65_535:
        raise SettingError(f"--port must be from 0 to 65535, but got {port}; 0 takes a free one")
    if host == "localhost":
        host = "127.0.0.1"  # some machines say ::1 first, which others do not have
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio sends at once, without waiting to fill a packet, only where TCP is named
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere it would let two listen
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(128)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"--port must be free, but {port} is in use; end what uses it, or give another, "
                "such as --port 0, which takes a free one"
            ) from error
        raise SettingError(
            f"--host and --port must be this machine's own, but {host} port {port} cannot be used "
            f"({error.strerror}); try --host 127.0.0.1 --port 0"
        ) from error
