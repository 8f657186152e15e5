"""Cells, and the one table of what runs them."""

from __future__ import annotations

import os
from collections.abc import Callable

from tellapart.cells.executor import Executor, InlineExecutor
from tellapart.device import DeviceName, choose_device, count_threads, measure_free_memory

SHARE, MODEST, LARGE = 0.8, 2_300_000_000, 0.1
"""What workers may take together: of the free memory the first part, but no more than so many
bytes, unless the third part is more."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


def open_local(workers: int, device: DeviceName) -> Executor:
    """Return so many workers on this machine, with one core each, or one GPU."""
    from tellapart.cells.local import LocalExecutor

    if choose_device(device).type != "cuda":
        return LocalExecutor(workers, measure_room())
    gpus = list_gpus()
    environments = [{VISIBLE: gpus[number % len(gpus)]} for number in range(workers)]
    threads = max(1, count_threads() // workers)
    return LocalExecutor(workers, measure_room(), threads, environments)


def open_ray(workers: int, device: DeviceName) -> Executor:
    """Return the workers of a Ray cluster."""
    from tellapart.cells.ray import RayExecutor

    return RayExecutor()


EXECUTORS: dict[str, Callable[[int, DeviceName], Executor]] = {
    "inline": lambda workers, device: InlineExecutor(),
    "local": open_local,
    "ray": open_ray,
}
"""Who runs cells, by name; each is told how many workers are wanted, and the device."""


def measure_room() -> float:
    """Return the bytes that workers may take together."""
    free = measure_free_memory()
    return max(min(SHARE * free, MODEST), LARGE * free)


def list_gpus() -> list[str]:
    """Return the GPUs that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]
