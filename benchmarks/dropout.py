"""Dropout of the outputs of a head's layer on the CPU: PyTorch's and ours.

    python benchmarks/dropout.py

Forward and backward over (256, 2048) float32, in turn, in one process. Prints the median, least and
most milliseconds of each, and the ratio.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from torch import nn

from tellapart.device import prepare_process
from tellapart.models.layers import Dropout

ROUNDS, REPEATS = 15, 20


def time_layer(layer: nn.Module, images: torch.Tensor) -> float:
    """Return the milliseconds of one pass there and back."""
    start = time.perf_counter()
    for _ in range(REPEATS):
        layer(images).sum().backward()
    return 1000 * (time.perf_counter() - start) / REPEATS


def main() -> None:
    prepare_process(0)
    images = torch.randn(256, 2048, requires_grad=True)
    layers = {"torch.nn.Dropout": nn.Dropout(0.5), "ours": Dropout(0.5)}
    found: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(ROUNDS + 1):
        for name, layer in layers.items():
            taken = time_layer(layer, images)
            if number:  # the first pays for memory
                found[name].append(taken)
    for name, times in found.items():
        print(f"{name}: {median(times):.2f} ms ({min(times):.2f} to {max(times):.2f})")
    ratios = [a / b for a, b in zip(*found.values(), strict=True)]
    print(f"ratio: {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}, n = {ROUNDS})")


if __name__ == "__main__":
    main()
