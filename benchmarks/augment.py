"""What augmentation costs: images/s of each operation and preset, and flip+shift as it was.

    python benchmarks/augment.py

Batches of 128 images of 32x32x3, on one thread, from uint8 pixels in memory to a float32 batch as
the network gets it. All ways in turn, in one process; the median over rounds. ``old`` is the flip
and shift that were done by NumPy on uint8 pixels; ratios are to it, over rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tellapart.config import OPERATIONS, PRESETS
from tellapart.data.augment import draw_augmentation
from tellapart.data.dataset import ArraySource, Dataset, Indices, Pixels
from tellapart.data.loader import Batch
from tellapart.device import prepare_process
from tellapart.models.forward import prepare_batch
from tellapart.train.augment import make_examples

BATCH, SIDE, ROWS = 128, 32, 10_000
ROUNDS, REPEATS = 15, 5
CPU = torch.device("cpu")


def move_on_bytes(
    pixels: Pixels, flips: NDArray[np.bool_], shifts: Indices, reach: int
) -> torch.Tensor:
    """Flip, then shift by one strided copy of padded bytes: the way before."""
    flipped = pixels.copy()
    flipped[flips] = pixels[flips][:, :, ::-1]
    count, height, width, channels = pixels.shape
    border = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(flipped, border, mode="reflect").reshape(count, height + 2 * reach, -1)
    windows = sliding_window_view(padded, (height, width * channels), axis=(1, 2))
    down, right = reach - shifts[:, 0], (reach - shifts[:, 1]) * channels
    return prepare_batch(windows[np.arange(count), down, right].reshape(pixels.shape), CPU)


def make_noise() -> Dataset:
    """Return a dataset of random pixels."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (ROWS, SIDE, SIDE, 3), np.uint8)
    return Dataset(
        name="noise",
        origin="noise",
        classes=tuple("0123456789"),
        labels=random.integers(0, 10, ROWS),
        source=ArraySource(pixels),
        hashes=("",) * ROWS,
        roles=("",) * ROWS,
        image_size=SIDE,
        size_reason="as made",
        channels=3,
        sizes={},
        modes={},
    )


def main() -> None:
    prepare_process()  # as training does: freed memory is kept
    torch.set_num_threads(1)
    dataset = make_noise()
    everyone = np.arange(ROWS)
    rows = np.random.default_rng(1).permutation(ROWS)[:BATCH]
    batch: Batch = (dataset.source.read(rows), dataset.labels[rows], rows)

    def prepare(augment: str) -> Callable[[], torch.Tensor]:
        draws = draw_augmentation(augment, ROWS, everyone, SIDE, 0, 0)
        return lambda: make_examples(dataset, draws, batch, CPU)[0]

    both = draw_augmentation("flip+shift", ROWS, everyone, SIDE, 0, 0)
    assert both.flips is not None and both.shifts is not None
    flips, shifts = both.flips[rows], both.shifts[rows]
    names = [*OPERATIONS, "flip+shift", *PRESETS, "standard+flip", "strong+flip+cutmix"]
    ways: dict[str, Callable[[], torch.Tensor]] = {}
    ways["old"] = lambda: move_on_bytes(batch[0], flips, shifts, SIDE // 8)
    ways |= {name: prepare(name) for name in names}
    assert torch.equal(ways["old"](), ways["flip+shift"]())

    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(REPEATS):
                way()
            seconds[name].append((time.perf_counter() - start) / REPEATS)
    print("| augmentation | ms a batch | images/s | time, to the old flip+shift |")
    print("|---|---|---|---|")
    for name, times in seconds.items():
        ratios = [own / old for own, old in zip(times, seconds["old"], strict=True)]
        middle = statistics.median(times)
        print(
            f"| {name} | {1000 * middle:.2f} | {BATCH / middle:,.0f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    start = time.perf_counter()
    for epoch in range(5):
        draw_augmentation("strong+flip+cutmix", 50_000, np.arange(50_000), SIDE, 0, epoch)
    print(f"\nall draws of an epoch of 50,000 rows: {200 * (time.perf_counter() - start):.0f} ms")


if __name__ == "__main__":
    main()
