"""Features of a folder of JPEG files: memory, pace, and whether the engine is kept busy.

    python benchmarks/folder.py BACKBONE PHOTOS --images 2500 --images 20000

PHOTOS is a folder of images, of which mosaics of 500 x 375 px are made, each another: as many JPEG
files of quality 90 as are asked for. For each number a process of its own reads the folder as
`transfer` does, and computes all features into an empty cache. Prints a Markdown table: the seconds
of reading and of computing; images a second; the share of the time in which the engine had work;
what the engine does alone on pixels that are decoded, and what decoding does alone, images a
second; and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tellapart.data import load_images
from tellapart.data.dataset import Dataset
from tellapart.device import Meter, count_cores, prepare_process
from tellapart.models.backbone import Backbone, make_backbone
from tellapart.transfer import features as features_module
from tellapart.transfer.engines import OpenvinoEngine, make_engine
from tellapart.transfer.features import extract_features
from tellapart.transfer.resources import MOST, Load, Resources

WIDTH, HEIGHT, SIDE = 500, 375, 125
SAMPLE = 1000
"""Images of which the paces alone are measured."""


def write_mosaics(task: tuple[list[Path], Path, int, int]) -> None:
    """Write the mosaics of some numbers, each of 12 tiles that its number draws."""
    sources, folder, first, last = task
    for number in range(first, last):
        draw = np.random.default_rng(number)
        whole = Image.new("RGB", (WIDTH, HEIGHT))
        for place in range((WIDTH // SIDE) * (HEIGHT // SIDE)):
            with Image.open(sources[int(draw.integers(len(sources)))]) as tile:
                small = tile.convert("RGB").resize((SIDE, SIDE))
            row, column = divmod(place, WIDTH // SIDE)
            whole.paste(small, (column * SIDE, row * SIDE))
        path = folder / f"class-{number % 2}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.save(path, quality=90)


class Watched:
    """An engine of which the time is kept in which it has work."""

    def __init__(self, inner: OpenvinoEngine) -> None:
        self.inner, self.name, self.busy = inner, inner.name, 0.0
        self._open, self._since, self._lock = 0, 0.0, threading.Lock()
        queue = inner._queue
        start_async, set_callback = queue.start_async, queue.set_callback

        def start(*args: Any) -> None:
            with self._lock:
                if not self._open:
                    self._since = time.perf_counter()
                self._open += 1
            start_async(*args)

        def put(callback: Any) -> None:
            def done(*args: Any) -> None:
                callback(*args)
                with self._lock:
                    self._open -= 1
                    if not self._open:
                        self.busy += time.perf_counter() - self._since

            set_callback(done)

        inner._queue = _Queue(queue, start, put)

    def compute(self, batches: Any) -> Any:
        return self.inner.compute(batches)


class _Queue:
    def __init__(self, queue: Any, start: Any, put: Any) -> None:
        self.start_async, self.set_callback, self.wait_all = start, put, queue.wait_all


def measure(name: str, folder: Path) -> dict[str, float]:
    """Return the figures of one folder, in this process."""
    prepare_process()
    with Meter() as meter:
        start = time.perf_counter()
        dataset, backbone = load_images(folder, memory_limit=0), make_backbone(name)
        read = time.perf_counter() - start
        watched: list[Watched] = []

        def watch(*args: Any) -> Any:
            inner = make_engine(*args)
            assert isinstance(inner, OpenvinoEngine)
            watched.append(Watched(inner))
            return watched[-1]

        vars(features_module)["make_engine"] = watch
        found = extract_features(dataset, backbone, Resources("cpu"))
    assert found.computed == len(dataset)
    alone, decoded = measure_alone(dataset, backbone)
    return {
        "read": read,
        "seconds": found.seconds,
        "pace": len(dataset) / found.seconds,
        "busy": watched[0].busy / found.seconds,
        "engine": alone,
        "decode": decoded,
        "peak_mib": meter.peak_memory_mb * 1e6 / 2**20,
    }


def measure_alone(dataset: Dataset, backbone: Backbone) -> tuple[float, float]:
    """Return the images a second of the engine alone, and of decoding alone."""
    rows = np.arange(SAMPLE, dtype=np.int64)
    start = time.perf_counter()
    pixels = dataset.source.read(rows, backbone.image_size)
    decoded = SAMPLE / (time.perf_counter() - start)
    batch = MOST["cpu"]
    engine = make_engine(backbone, pixels[:1], "cpu", Load(batch))
    start = time.perf_counter()
    engine.compute(pixels[first : first + batch] for first in range(0, SAMPLE, batch))
    return SAMPLE / (time.perf_counter() - start), decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.backbone, args.photos)))
        return
    print(
        "| images | reading, s | features, s | images/s | engine busy | engine alone | decoding "
        "alone | peak MiB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    sources = sorted(path for path in args.photos.rglob("*") if path.suffix == ".jpg")
    for images in args.images or (2500, 20_000):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "mosaics"
            cuts = np.linspace(0, images, count_cores() * 4 + 1).astype(int).tolist()
            tasks = [(sources, folder, a, b) for a, b in pairwise(cuts)]
            with ProcessPoolExecutor(count_cores()) as pool:
                list(pool.map(write_mosaics, tasks))
            done = subprocess.run(
                [sys.executable, __file__, args.backbone, str(folder), "--one"],
                capture_output=True,
                text=True,
                env=os.environ | {"TELLAPART_CACHE": str(Path(place) / "cache")},
                check=False,
            )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {images:,} | {found['read']:.1f} | {found['seconds']:.1f} | {found['pace']:,.0f} | "
            f"{100 * found['busy']:.0f} % | {found['engine']:,.0f} | {found['decode']:,.0f} | "
            f"{found['peak_mib']:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
