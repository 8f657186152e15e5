"""Features of a frozen backbone: images a second, against eager PyTorch and ONNX Runtime.

    pip install onnx==1.23.2
    python benchmarks/extraction.py BACKBONE FOLDER --peers .peers/bin/python

BACKBONE is a name as ``--backbone`` takes it, FOLDER holds CIFAR-10's binary batches. Every engine
is given the same 32 px images in uint8 and runs the same network, which resizes them to the
backbone's own resolution and normalises them. Each figure is of processes that take turns, ours
first, several times; ours goes with the batch that tellapart takes, theirs each with its best of
``BATCHES``, which is found first. Prints a Markdown table: images a second (median, least, most),
the ratio of each pair (median, least, most), and the peak memory of a process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from tellapart.data import load_images
from tellapart.data.dataset import Pixels
from tellapart.models.backbone import make_backbone
from tellapart.transfer.engines import OpenvinoEngine, TorchEngine, name_engine
from tellapart.transfer.resources import MOST

PEER = Path(__file__).resolve().parent / "peers/onnx_runtime.py"
BATCHES = (8, 32, 128)
IMAGES = 1024


def cut(pixels: Pixels, batch: int) -> Iterator[Pixels]:
    """Yield the images a batch at a time."""
    for first in range(0, len(pixels), batch):
        yield pixels[first : first + batch]


def read_peak() -> float:
    """Return the most MiB that this process had; ``getrusage`` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def time_engine(kind: str, name: str, images: Path, batch: int) -> dict[str, float]:
    """Return what one of our engines does in this process."""
    backbone, pixels = make_backbone(name), np.load(images)
    if kind == "ours":
        engine: OpenvinoEngine | TorchEngine = OpenvinoEngine(backbone, pixels[:batch])
    else:
        engine = TorchEngine(backbone, "cpu")
    engine.compute(cut(pixels[: 4 * batch], batch))
    start = time.perf_counter()
    found = engine.compute(cut(pixels, batch))
    seconds = time.perf_counter() - start
    return {
        "images_a_second": len(pixels) / seconds,
        "peak_mib": read_peak(),
        "mean": float(found.astype(np.float32).mean()),
    }


def export(name: str, pixels: Pixels, path: Path) -> None:
    """Write a backbone as ONNX, for batches of any size."""
    network = make_backbone(name).network
    torch.onnx.export(
        network,
        (torch.from_numpy(pixels[:8]),),
        str(path),
        input_names=["pixels"],
        dynamic_axes={"pixels": {0: "n"}},
        dynamo=False,
    )


def run(command: list[str]) -> dict[str, float]:
    """Return the JSON that a process prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def say(values: list[float], digits: int = 0) -> str:
    """Return the median, the least and the most."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", default=".peers/bin/python")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        kind, batch = args.one
        print(json.dumps(time_engine(kind, args.backbone, args.folder, int(batch))))
        return
    with tempfile.TemporaryDirectory() as place:
        model, images = Path(place) / "model.onnx", Path(place) / "images.npy"
        dataset = load_images("cifar10", args.folder)
        np.save(images, dataset.source.read(np.arange(IMAGES)))
        export(args.backbone, np.load(images), model)
        own = [sys.executable, __file__, args.backbone, str(images), "--one"]
        commands: dict[str, Callable[[int], list[str]]] = {
            "ours": lambda batch: [*own, "ours", str(batch)],
            "eager PyTorch": lambda batch: [*own, "torch", str(batch)],
            "ONNX Runtime": lambda batch: [
                args.peers,
                str(PEER),
                str(model),
                str(images),
                "--batch",
                str(batch),
            ],
        }
        best = {"ours": MOST["cpu"]}
        for kind in ("eager PyTorch", "ONNX Runtime"):
            tried = {batch: run(commands[kind](batch))["images_a_second"] for batch in BATCHES}
            best[kind] = max(tried, key=lambda batch: tried[batch])
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in commands}
        for _ in range(args.pairs):
            for kind, command in commands.items():
                found[kind].append(run(command(best[kind])))
    print(f"{name_engine('cpu')}; {IMAGES:,} images, {args.pairs} turns\n")
    print("| engine | batch | images/s | ours over it | peak MiB | mean feature |")
    print("|---|---|---|---|---|---|")
    speeds = {kind: [one["images_a_second"] for one in runs] for kind, runs in found.items()}
    for kind, runs in found.items():
        ratios = [a / b for a, b in zip(speeds["ours"], speeds[kind], strict=True)]
        peak = max(one["peak_mib"] for one in runs)
        print(
            f"| {kind} | {best[kind]} | {say(speeds[kind])} | {say(ratios, 2)} | {peak:,.0f} | "
            f"{runs[0]['mean']:.4f} |"
        )


if __name__ == "__main__":
    main()
