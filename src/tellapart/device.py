"""The machine: device, number format, seeds, threads, memory, and a description of it all.

Torch is imported when a function needs it, never at import.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
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
"""Names the number format to train in, whatever the processor has."""


def choose_device(name: DeviceName = "auto") -> torch.device:
    """Return the device asked for, or the fastest one here.

    Raises:
        DeviceError: the device is not on this machine.
    """
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

    Raises:
        DeviceError: the variable names no number format.
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
    faster = False
    if device.type == "cuda":
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        flags = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private in torch
        native = any(getattr(torch.cpu, name, lambda: False)() for name in flags)
        faster = native and measure_gain() > 1
    return "bfloat16" if faster else "float32"


@cache
def measure_gain() -> float:
    """Return how many times faster this CPU multiplies bfloat16 than float32 matrices.

    Measured once a process, in some 10 ms: the fastest of several products each, in turn.
    """
    import torch

    pairs = [torch.ones(2, 512, 512, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    times: list[list[float]] = [[], []]
    for _ in range(6):
        for own, (first, second) in zip(times, pairs, strict=True):
            start = time.perf_counter()
            torch.mm(first, second)
            own.append(time.perf_counter() - start)
    return min(times[0]) / min(times[1])


def prepare_process(seed: int | None = None) -> None:
    """Keep freed memory for reuse, and seed torch.

    The C library hands large blocks back to the system at every free, and a training step then
    spends its time on page faults. ``benchmarks/allocator.py`` measures what keeping them does.
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
    """Give freed memory back to the system, between two pieces of work.

    Nothing of a training is in a cycle of references, so it is free without a collection, which
    takes a quarter of a second among the objects of so many libraries; but for the passes that are
    recorded on a GPU, whose memory one has to free.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
    _ask_allocator("malloc_trim", 0)


def _ask_allocator(function: str, *values: int) -> int:
    """Call a function of GNU's C library; return 0 where there is another one."""
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


def seed_step(device: torch.device, seed: int, epoch: int, step: int, rank: int = 0) -> None:
    """Seed the device's generator for one step, as a pure function of whole numbers.

    What dropout draws then needs no earlier step, so nothing has to be restored when training
    goes on. Of several processes each draws its own.
    """
    import torch
    from numpy.random import SeedSequence

    own = SeedSequence((seed, epoch, step), spawn_key=(rank,) if rank else ())
    others = {"cuda": torch.cuda.manual_seed, "mps": torch.mps.manual_seed}
    seed_device = others.get(device.type, torch.default_generator.manual_seed)
    seed_device(int(own.generate_state(1)[0]))


def wait_shortly() -> None:
    """Let OpenMP's threads spin but shortly while they wait, unless the environment says otherwise.

    GNU's, which PyTorch has on Linux, spin for milliseconds, and beside any other work a training
    then takes many times as long; to sleep at once costs more than a step of a small network. To
    be called before PyTorch is loaded; ``benchmarks/waiting.py`` measures what it does.
    """
    if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", SPINS} & os.environ.keys():
        os.environ[SPINS] = "1000"


def prepare_libraries() -> None:
    """Say how libraries are to be loaded, in a process that is this package's own.

    PyTorch's optimisers load Triton for a compiler that is not used here: 70 MB of memory.
    """
    wait_shortly()
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # None bars it


def count_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_free_memory() -> int:
    """Return the bytes of memory that can be taken without swapping, within a container's limit."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no such limit: `max` is no number
        most, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = max(0, min(free, most - taken))
    return free


def measure_tree_memory() -> int:
    """Return the resident bytes of this process and all its children.

    Of children it is what they share with no other process: the rest, as the code of the libraries,
    is this process's too.
    """
    own = psutil.Process()
    total = int(own.memory_info().rss)
    for process in own.children(recursive=True):
        try:
            total += int(process.memory_full_info().uss)
        except psutil.Error:  # it ended meanwhile
            continue
    return total


REST = 50
"""Times as long as measuring the memory takes that it is not measured."""


class Meter:
    """Measure wall seconds and the peak memory of the process tree over a ``with`` block."""

    def __init__(self, interval: float = 0.2) -> None:
        self.peak_memory_mb = 0.0
        self._start = self._end = 0.0
        self._interval = interval
        self._stop = threading.Event()

    def __enter__(self) -> Meter:
        self._start, self._end = time.perf_counter(), 0.0
        self._measure()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        self._thread.join()
        self._measure()
        self._end = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of the block: so far, or in all once it has ended."""
        return (self._end or time.perf_counter()) - self._start if self._start else 0.0

    def _measure(self) -> None:
        self.peak_memory_mb = max(self.peak_memory_mb, measure_tree_memory() / 1e6)

    def _watch(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            start = time.perf_counter()
            self._measure()
            # several processes take long to measure: it must not take a share that matters
            pause = max(self._interval, REST * (time.perf_counter() - start))


def describe_environment() -> dict[str, Scalar]:
    """Describe the machine and the versions that made a result, without host or user names."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Scalar] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _name_processor(),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }
    for package in ("tellapart", "torch", "timm", "openvino", "optuna", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _name_processor() -> str:
    with suppress(OSError):  # no such file: the generic name below
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
