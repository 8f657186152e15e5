"""What tests of the server share: images, a model that waits, and a server of a test."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from tellapart.data.dataset import Pixels
from tellapart.predict.engines import Numbers, Seen
from tellapart.predict.guard import Guard
from tellapart.predict.listen import make_server, open_socket
from tellapart.predict.predictor import Predictor
from tellapart.records.predictor import Surest

TOKEN = "correct-horse-battery-staple"
HOSTILE = "<img src=x onerror=alert(1)>\u202e\u0661 \"';--.png"


def draw(side: int = 8, colours: bool = False) -> bytes:
    """Return noise as the bytes of a PNG."""
    shape = (side, side, 3) if colours else (side, side)
    pixels = np.random.default_rng(side).integers(0, 256, shape, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def ask(app: Guard, address: str = "127.0.0.1", host: str = "localhost") -> TestClient:
    """Return a client of an application, at an address, which means a host."""
    return TestClient(app, f"http://{host}", client=(address, 5000), raise_server_exceptions=False)


def make_careful(predictor: Predictor, threshold: float) -> Predictor:
    """Return a predictor that promises any error from a confidence on."""
    curve = (Surest(count=1000, wrong=0, threshold=threshold),)
    args = predictor.args.model_copy(update={"surest": curve, "tested": 1000})
    return Predictor(args, predictor._engine, predictor.reference, predictor.network)


class Waiting:
    """Runs no model: it finds the first class, once it may."""

    def __init__(self, classes: int) -> None:
        self.classes, self.may, self.asked = classes, threading.Event(), threading.Event()

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        self.asked.set()
        assert self.may.wait(30)
        count = sum(len(batch) for batch in batches)
        found: Numbers = np.eye(1, self.classes, dtype=np.float32).repeat(count, 0)
        return found, None


@contextmanager
def listen(app: Guard) -> Iterator[int]:
    """Serve an application on a port of this machine, in a thread."""
    with open_socket("127.0.0.1", 0) as listening:
        server = make_server(app)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def post(port: int, path: str, body: bytes, kind: str = "image/png") -> tuple[int, Any]:
    """Send a body; return the status and what the answer says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(content) if is_json else content
    finally:
        connection.close()
