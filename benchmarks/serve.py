"""A server under load: clients that ask without a pause, errors, and how long an answer takes.

    python benchmarks/serve.py runs/digits-study-1 --clients 16 --seconds 120

Starts ``tellapart serve RUN`` on a free port of this machine, and ``--clients`` threads that send
a PNG of the size that the model sees, one after another, and read the answer. Prints the number of
answers, of errors (any other status, any broken connection), the 50th and 99th percentile and the
longest time of an answer, and what the server's memory grew by after the first tenth.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
from PIL import Image


def ask(port: int, body: bytes, until: float, found: list[float], errors: list[str]) -> None:
    """Send an image again and again; note how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.monotonic() < until:
        since = time.perf_counter()
        try:
            connection.request("POST", "/api/predict", body, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200 or json.loads(content)["results"][0]["error"]:
                errors.append(f"{answer.status} {content[:100]!r}")
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            connection.close()
        found.append(time.perf_counter() - since)
    connection.close()


def draw(port: int) -> bytes:
    """Return noise as a PNG of the size that the model sees."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/api/model")
    side = json.loads(connection.getresponse().read())["image_size"]
    connection.close()
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def main() -> int:
    """Run the server and its clients, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120)
    args = parser.parse_args()
    command = [sys.executable, "-m", "tellapart", "serve", args.run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            page = process.stdout.readline().split(": ", 1)[1].split()[0]
            port = int(page.rstrip("/").rpartition(":")[2])
            body = draw(port)
            found: list[float] = []
            errors: list[str] = []
            given = (port, body, time.monotonic() + args.seconds, found, errors)
            threads = [threading.Thread(target=ask, args=given) for _ in range(args.clients)]
            for thread in threads:
                thread.start()
            server = psutil.Process(process.pid)
            time.sleep(args.seconds / 10)
            before = server.memory_info().rss
            for thread in threads:
                thread.join()
            grown = (server.memory_info().rss - before) / 1e6
        finally:
            process.terminate()
    middle, slow = np.percentile(found, [50, 99]) * 1000
    print(
        f"{args.clients} clients, {args.seconds:g} s: {len(found):,} answers "
        f"({len(found) / args.seconds:,.0f} a second), {len(errors)} errors; p50 {middle:.1f} ms, "
        f"p99 {slow:.1f} ms, longest {1000 * max(found):.0f} ms; memory grew by {grown:.1f} MB"
    )
    print("\n".join(errors[:5]))
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
