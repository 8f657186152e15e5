"""Reading folders of JPEG files: images a second beside Pillow in two threads, and memory.

    python benchmarks/decode.py PHOTOS --images 20000 --width 500 --height 400
    python benchmarks/decode.py PHOTOS --images 2000 --width 4000 --height 3000 --side 224

PHOTOS is a folder of images, of which ``DISTINCT`` mosaics are made; the others are links to them,
so that the disk holds them. In turn, ``--rounds`` times, all are decoded to squares of ``--side``
by Pillow alone (open, convert, resize, two threads) and by tellapart, each in a process of its own.
Prints a Markdown table: images a second of each, the ratio, and what memory grows by; a quarter of
the images beside tells whether memory depends on their number.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tellapart.data import load_images
from tellapart.device import Meter

DISTINCT = 40
PART = 256
"""Images that are read at once, and then let go."""


def write_files(sources: list[Path], folder: Path, args: argparse.Namespace) -> None:
    """Write ``args.images`` JPEG files of quality 90, in two classes."""
    rng = np.random.default_rng(0)
    side = args.height // 4
    for number in range(args.images):
        path = folder / f"class-{number % 2}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= DISTINCT:
            os.link(folder / f"class-{number % 2}" / f"{number % DISTINCT:06d}.jpg", path)
            continue
        whole = Image.new("RGB", (args.width, args.height))
        for left in range(0, args.width, side):
            for top in range(0, args.height, side):
                with Image.open(sources[int(rng.integers(len(sources)))]) as tile:
                    whole.paste(tile.convert("RGB").resize((side, side)), (left, top))
        whole.save(path, quality=90)


def read_with_pillow(folder: Path, side: int) -> float:
    """Return the seconds in which Pillow alone decodes all, in two threads."""
    files = sorted(folder.rglob("*.jpg"))

    def decode(path: Path) -> int:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((side, side))).size

    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, len(files), PART):
            list(pool.map(decode, files[first : first + PART]))
    return time.perf_counter() - start


def read_with_tellapart(folder: Path, side: int) -> tuple[float, float]:
    """Return the seconds of loading the folder, and of decoding all."""
    start = time.perf_counter()
    dataset = load_images(folder, memory_limit=0)
    loaded = time.perf_counter() - start
    start = time.perf_counter()
    for first in range(0, len(dataset), PART):
        dataset.source.read(np.arange(first, min(first + PART, len(dataset))), side)
    return loaded, time.perf_counter() - start


def measure(reader: str, folder: Path, side: int) -> dict[str, float]:
    """Return seconds and memory, in this process."""
    with Meter() as meter:
        if reader == "pillow":
            loaded, seconds = 0.0, read_with_pillow(folder, side)
        else:
            loaded, seconds = read_with_tellapart(folder, side)
    return {"loaded": loaded, "seconds": seconds, "memory": meter.peak_memory_mb}


def start(reader: str, folder: Path, side: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--side", str(side), "--reader", reader]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=400)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reader", choices=("pillow", "tellapart"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reader:
        print(json.dumps(measure(args.reader, args.photos, args.side)))
        return
    sources = sorted(path for path in args.photos.rglob("*") if path.suffix == ".jpg")
    print("| images | size | Pillow, images/s | tellapart, images/s | ratio | loading, s | MB |")
    print("|---|---|---|---|---|---|---|")
    for images in (args.images // 4, args.images):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "photos"
            write_files(sources, folder, argparse.Namespace(**vars(args) | {"images": images}))
            rounds = [
                [start(reader, folder, args.side) for reader in ("pillow", "tellapart")]
                for _ in range(args.rounds)
            ]
        paces = [[images / one["seconds"] for one in pair] for pair in rounds]
        theirs, ours = (statistics.median(column) for column in zip(*paces, strict=True))
        ratios = sorted(b / a for a, b in paces)
        memory = max(pair[1]["memory"] for pair in rounds)
        loaded = statistics.median(pair[1]["loaded"] for pair in rounds)
        print(
            f"| {images:,} | {args.width} x {args.height} to {args.side} | {theirs:,.0f} | "
            f"{ours:,.0f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
            f"| {loaded:.1f} | {memory:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
