"""A wide convolution of images, with pooling and rectifier: by patches, and by torch's convolution.

    python benchmarks/patches.py

Forward and backward of 128 images of 32 px, a layer of 3 x 3. Both ways take turns; the figures are
the median of each and the ratio of the medians, with the lowest and highest ratio of a turn. Memory
is what the process's peak rises by in a fresh process for each way.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from tellapart.device import prepare_process
from tellapart.models.patches import PatchedConv
from tellapart.models.pool import _PooledConv

WAYS: dict[str, Callable[..., Any]] = {"patches": PatchedConv.apply, "chunks": _PooledConv.apply}
TURNS = 15
IMAGES, SIDE = 128, 32


def make_step(width: int, kind: torch.dtype) -> Callable[[str], float]:
    """Return a function that goes forward and back one way, and says what it took."""
    torch.manual_seed(0)
    images = (
        torch.rand(IMAGES, 3, SIDE, SIDE).to(kind).contiguous(memory_format=torch.channels_last)
    )
    weight = (torch.randn(width, 3, 3, 3) * 0.3).to(kind).requires_grad_()
    bias = (torch.randn(width) * 0.1).to(kind).requires_grad_()
    out = (SIDE - 2) // 2
    grad = torch.randn(IMAGES, out, out, width).to(kind).permute(0, 3, 1, 2)

    def step(way: str) -> float:
        weight.grad = bias.grad = None
        start = time.perf_counter()
        WAYS[way](images, weight, bias, 0).backward(grad)
        return time.perf_counter() - start

    return step


def measure_peak(width: int, kind: torch.dtype, way: str) -> None:
    """Print by how many MB the process's peak rises."""
    step = make_step(width, kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step(way)
    print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peak", nargs=3)
    peak = parser.parse_args().peak
    prepare_process(0)
    if peak:
        measure_peak(int(peak[0]), getattr(torch, peak[1]), peak[2])
        return
    for name in ("bfloat16", "float32"):
        for width in (64, 128, 256, 1024):
            step = make_step(width, getattr(torch, name))
            for way in WAYS:
                step(way)
            times = [{way: step(way) for way in WAYS} for _ in range(TURNS)]
            middle = {way: statistics.median(turn[way] for turn in times) for way in WAYS}
            ratios = sorted(turn["chunks"] / turn["patches"] for turn in times)
            memory = {
                way: float(
                    subprocess.run(
                        [sys.executable, __file__, "--peak", str(width), name, way],
                        check=True, capture_output=True, text=True,
                    ).stdout
                )
                for way in WAYS
            }  # fmt: skip
            print(
                f"{name} {width}: patches {1000 * middle['patches']:.1f} ms, "
                f"{memory['patches']:.0f} MB; chunks {1000 * middle['chunks']:.1f} ms, "
                f"{memory['chunks']:.0f} MB; {middle['chunks'] / middle['patches']:.2f} times as "
                f"fast ({ratios[0]:.2f} to {ratios[-1]:.2f}, n = {TURNS})"
            )


if __name__ == "__main__":
    main()
