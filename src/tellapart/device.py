"""The machine: device, number format, seeds, threads, memory, and a description of it all.

Torch is imported when a function needs it, never at import.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import psutil

from tellapart.errors import DeviceError
from tellapart.records import Scalar

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]

SPINS = "GOMP_SPINCOUNT"
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
PRECISION_VARIABLE = "TELLAPART_PRECISION"


def choose_device(name: DeviceName = "auto") -> torch.device:
    """Return the device asked for, or the fastest one; a DeviceError if it is not here."""
    import torch

    present = ["cuda"] if torch.cuda.is_available() else []
    present += ["mps"] if torch.backends.mps.is_available() else []
    present += ["cpu"]
    if name != "auto" and name not in present:
        here = ", ".join(present)
        raise DeviceError(
            f"--device {name} is not on this machine, which has: {here}; use --device auto"
        )
    return torch.device(present[0] if name == "auto" else name)


def choose_precision(device: torch.device) -> Precision:
    """Return the number format that ``TELLAPART_PRECISION`` names, else the fastest one.

    That is bfloat16 where the processor multiplies it natively, and was measured to do so faster
    than float32; elsewhere it is emulated, and many times slower.
    """
    import torch

    asked = os.environ.get(PRECISION_VARIABLE, "auto")
    if asked in get_args(Precision):
        return cast(Precision, asked)
    if asked != "auto":
        raise DeviceError(
            f"{PRECISION_VARIABLE} must be auto, float32 or bfloat16, but is {asked!r}; "
            "correct or unset it"
        )
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return "float32"
    flags = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private in torch
    native = any(getattr(torch.cpu, name, lambda: False)() for name in flags)
    return "bfloat16" if native and measure_gain() > 1 else "float32"


@cache
def measure_gain() -> float:
    """Return how many times faster this CPU multiplies bfloat16 than float32 matrices.

    Measured once a process, in some 10 ms: the fastest of several products each, in turn.
    """
    import torch

    pairs = [torch.ones(2, 512, 512, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    best = [float("inf")] * 2
    for turn in range(12):
        start = time.perf_counter()
        torch.mm(*pairs[turn % 2])
        best[turn % 2] = min(best[turn % 2], time.perf_counter() - start)
    return best[0] / best[1]


def prepare_process(seed: int | None = None) -> None:
    """Keep freed memory for reuse, and seed torch.

    The C library hands large blocks back at every free, and a training step then spends its time
    on page faults: see ``benchmarks/allocator.py``.
    """
    import torch

    if not _ask_allocator("mallopt", _MMAP_THRESHOLD, 1 << 30):
        _ask_allocator("mallopt", _MMAP_THRESHOLD, 1 << 25)  # the most that older versions allow
    _ask_allocator("mallopt", _TRIM_THRESHOLD, 2**31 - 1)
    if seed is not None:
        torch.manual_seed(seed)


def return_memory() -> None:
    """Give freed blocks of a megabyte and more back at once, until `prepare_process`.

    Else the C library keeps those of a large image for every thread that has decoded one.
    """
    _ask_allocator("mallopt", _MMAP_THRESHOLD, 1 << 20)


def release_memory() -> None:
    """Give freed memory back to the system, between two pieces of work."""
    torch = sys.modules.get("torch")
    # only passes recorded on a GPU are in a cycle of references, and to collect takes long
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
    _ask_allocator("malloc_trim", 0)


def _ask_allocator(function: str, *values: int) -> int:
    """Call a function of GNU's C library; return 0 where there is another."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            return int(getattr(ctypes.CDLL("libc.so.6"), function)(*values))
    return 0


def limit_threads(count: int) -> None:
    """Let this process compute with so many threads."""
    import torch

    torch.set_num_threads(count)


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Let this process compute with so many threads, for the length of a ``with`` block."""
    before = count_threads()
    limit_threads(count)
    try:
        yield
    finally:
        limit_threads(before)


def count_threads() -> int:
    """Return the number of threads that this process computes with."""
    import torch

    return torch.get_num_threads()


def seed_step(device: torch.device, seed: int, epoch: int, step: int) -> None:
    """Seed the device's generator as a pure function of numbers: dropout needs no earlier step."""
    import torch
    from numpy.random import SeedSequence

    number = int(SeedSequence((seed, epoch, step)).generate_state(1)[0])
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        getattr(torch, device.type).manual_seed(number)


def wait_shortly() -> None:
    """Let OpenMP's threads spin but shortly while they wait, unless the environment says otherwise.

    GNU's spin for milliseconds, and beside any other work a training then takes many times as long;
    to sleep at once costs more than a step of a small network: see ``benchmarks/waiting.py``. To be
    called before PyTorch is loaded.
    """
    if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", SPINS} & os.environ.keys():
        os.environ[SPINS] = "1000"


def prepare_libraries() -> None:
    """Say how libraries are to be loaded, in a process that is this package's own."""
    wait_shortly()
    # optimisers load it for a compiler that is not used: 70 MB of memory
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # None bars it


def count_cores() -> int:
    """Return the number of cores this process may use."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return bound or 1


def measure_free_memory() -> int:
    """Return the bytes that can be taken without swapping, within a container's limit."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no such limit: `max` is no number
        most, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = max(0, min(free, most - taken))
    return free


def measure_tree_memory() -> int:
    """Return the resident bytes of this process, and of its children what they share with none."""
    own = psutil.Process()
    total = int(own.memory_info().rss)
    for process in own.children(recursive=True):
        with suppress(psutil.Error):  # it ended between the listing and the look
            total += int(process.memory_full_info().uss)
    return total


class Meter:
    """Measure wall seconds and the peak memory of the process tree over a ``with`` block."""

    def __init__(self, interval: float = 0.2) -> None:
        self.peak_memory_mb = 0.0
        self._start = self._end = 0.0
        self._interval = interval
        self._stop = threading.Event()

    def __enter__(self) -> Meter:
        self._start, self._end = time.perf_counter(), 0.0
        self._look()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        self._end = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of the block: so far, or in all once it has ended."""
        return (self._end or time.perf_counter()) - self._start if self._start else 0.0

    def _look(self) -> None:
        self.peak_memory_mb = max(self.peak_memory_mb, measure_tree_memory() / 1e6)

    def _watch(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            start = time.perf_counter()
            self._look()
            # a look at several processes takes long: 2 % of the time at most is for that
            pause = max(self._interval, 50 * (time.perf_counter() - start))


def describe_environment() -> dict[str, Scalar]:
    """Describe the machine and the versions that made a result, without host or user names."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Scalar] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": platform.processor() or platform.machine(),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }
    with suppress(OSError):  # no such file: the generic name stays
        named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
        found["processor"] = named[1] if named else found["processor"]
    for package in ("tellapart", "torch", "timm", "openvino", "optuna", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
