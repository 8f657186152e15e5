"""Who may ask a server, and how much: the host that is meant, a token, a rate for each address."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""What a browser on this machine calls it."""
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
MOST_ADDRESSES = 10_000
"""Addresses whose requests are counted; a machine with more neighbours forgets the idle ones."""


@dataclass(frozen=True)
class Limits:
    """How much is taken: bytes and images of a request, requests at one time and a second.

    A request waits ``wait`` seconds for its turn, and its body may take ``upload`` seconds. Each
    address has ``rate`` requests a second and ``burst`` at first; this machine's own has no rate.
    """

    body: int = 20_000_000
    images: int = 32
    at_once: int = 8
    wait: float = 10.0
    upload: float = 60.0
    rate: float = 10.0
    burst: int = 200


LIMITS = Limits()


class Rates:
    """Counts requests by address."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._left: dict[str, tuple[float, float]] = {}

    def count(self, address: str) -> float:
        """Count a request; return for how many seconds its address has to wait, mostly 0."""
        now, burst, rate = self._clock(), self._limits.burst, self._limits.rate
        if len(self._left) >= MOST_ADDRESSES:
            idle = now - burst / rate
            self._left = {one: held for one, held in self._left.items() if held[1] > idle}
        left, since = self._left.get(address, (burst, now))
        left = min(burst, left + (now - since) * rate)
        granted = left >= 1
        self._left[address] = left - granted, now
        return 0.0 if granted else (1 - left) / rate


class Guard:
    """Refuses a request before the application sees it.

    Args:
        app: what answers the others.
        limits: how many an address may send.
        token: what ``Authorization: Bearer`` must say, but for the page itself; empty: nothing.
        names: the hosts that a request may mean, against DNS rebinding; empty: any.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, token: str = "", names: tuple[str, ...] = ()
    ) -> None:
        self._app, self._token, self._rates = app, token.encode(), Rates(limits)
        known = "|".join(map(re.escape, names))
        self._host = re.compile(rf"(?:{known})(?::\d+)?" if names else ".*", re.IGNORECASE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), own.encode()) for name, own in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        refusal = self._refuse(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refuse(self, request: Request) -> JSONResponse | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._host.fullmatch(host):
            return refuse(400, "the Host header must be localhost or this server's address")
        if origin is not None and urlsplit(origin).netloc != host:
            return refuse(403, "other pages may not ask this server")
        address = request.client.host if request.client else ""
        if not is_loopback(address) and (wait := self._rates.count(address)):
            return refuse(429, "too many requests; wait a little", {"Retry-After": str(ceil(wait))})
        said = request.headers.get("authorization", "").encode()
        if self._token and request.url.path != "/":
            kind, _, given = said.partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given, self._token):
                asked = {"WWW-Authenticate": "Bearer"}
                return refuse(401, "the token is missing or wrong: Authorization: Bearer", asked)
        return None


def refuse(status: int, why: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an answer that says why there is none."""
    return JSONResponse({"error": why}, status, headers)


def is_loopback(host: str) -> bool:
    """Return whether an address, or the name localhost, is this machine's alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
