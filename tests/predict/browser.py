"""A browser without a window, driven over WebDriver by plain requests."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tellapart.predict.listen import open_socket

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One tab of Chromium."""

    def __init__(self, port: int, binary: str, profile: Path) -> None:
        self._place = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": binary}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        opened = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._place += f"/{opened['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._place + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        """Go to a page."""
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str) -> Any:
        """Run a script in the page; return what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def type(self, selector: str, text: str) -> None:
        """Type into a field; into one of files, the paths of some, a line each."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def wait(self, script: str, fits: Callable[[Any], bool] = bool) -> Any:
        """Wait until what a script returns fits, and return it."""
        until = time.monotonic() + 30
        while not fits(found := self.run(script)):
            assert time.monotonic() < until, f"{script} stays {found!r}"
            time.sleep(0.05)
        return found

    def list_errors(self) -> list[str]:
        """Return what the browser complained of since it was asked last."""
        found = self._ask("POST", "/se/log", {"type": "browser"})
        return [one["message"] for one in found if one["level"] == "SEVERE"]

    def close(self) -> None:
        """Close the tab, and with it the browser."""
        self._ask("DELETE", "")


@contextmanager
def start_browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium; a test without it is skipped, and says so."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("NO BROWSER: the page was not tested; apt-get install chromium chromium-driver")
    with open_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while "started successfully" not in (line := process.stdout.readline()):
                assert line, "chromedriver ended"
            browser = Browser(port, binary, profile)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()
