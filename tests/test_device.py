from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tellapart import device
from tellapart.device import (
    PRECISION_VARIABLE,
    SPINS,
    DeviceName,
    Meter,
    choose_device,
    choose_precision,
    count_cores,
    describe_environment,
    measure_free_memory,
    measure_gain,
    measure_tree_memory,
    prepare_process,
    wait_shortly,
)
from tellapart.errors import DeviceError

BLOCK_MB = 120


def test_the_meter_sees_an_allocation_that_is_gone_at_the_end() -> None:
    """What else of the tests' process comes or goes meanwhile has no say: both looks are inside."""
    with Meter(interval=0.01) as meter:
        block = mmap.mmap(-1, BLOCK_MB * 1_000_000)
        np.frombuffer(block, np.uint8).fill(1)
        held = measure_tree_memory() / 1e6
        end = time.monotonic() + 30  # the meter's thread has its turns when the machine gives them
        while meter.peak_memory_mb <= held - 0.1 * BLOCK_MB and time.monotonic() < end:
            time.sleep(0.01)
        block.close()
        left = measure_tree_memory() / 1e6
    assert left < held - 0.9 * BLOCK_MB
    assert meter.peak_memory_mb > held - 0.1 * BLOCK_MB
    assert 0 < meter.seconds < 60


def test_the_meter_sees_a_child() -> None:
    before = measure_tree_memory() / 1e6
    code = f"block = b'x' * {BLOCK_MB * 1_000_000}; print('ready', flush=True); input()"
    with Meter(interval=0.01) as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        end = time.monotonic() + 30
        while meter.peak_memory_mb <= before + 0.9 * BLOCK_MB and time.monotonic() < end:
            time.sleep(0.05)
        child.communicate(b"\n")
    assert meter.peak_memory_mb > before + 0.9 * BLOCK_MB


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process")
def test_memory_that_processes_share_counts_once() -> None:
    code = f"""
import os, signal
from tellapart.device import measure_tree_memory
block = b"x" * {BLOCK_MB * 1_000_000}
alone = measure_tree_memory()
child = os.fork()
if child == 0:
    signal.pause()
both = measure_tree_memory()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print((both - alone) / 1e6)
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert -0.2 * BLOCK_MB < float(found.stdout) < 0.2 * BLOCK_MB


def test_the_meter_lets_errors_through() -> None:
    with pytest.raises(ZeroDivisionError), Meter() as meter:
        _ = 1 / 0
    assert meter.seconds > 0


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_the_fastest_there_is() -> None:
    if torch.cuda.is_available():
        assert choose_device() == torch.device("cuda")
    elif torch.backends.mps.is_available():
        assert choose_device() == torch.device("mps")
    else:
        assert choose_device() == torch.device("cpu")


def test_an_absent_device_is_refused() -> None:
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    absent = [name for name, there in here.items() if not there]
    assert absent, "no machine has both"
    for name in absent:
        with pytest.raises(DeviceError, match=rf"--device {name} .*cpu.*--device auto"):
            choose_device(cast(DeviceName, name))


def test_bfloat16_only_where_the_processor_says_so() -> None:
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.is_file():
        assert choose_precision(torch.device("cpu")) == "float32"
        return
    words = set(flags.read_text("utf-8").split())
    native = bool(words & {"amx_tile", "avx512_bf16"})
    faster = native and measure_gain() > 1
    assert choose_precision(torch.device("cpu")) == ("bfloat16" if faster else "float32")


def test_float32_where_bfloat16_was_measured_to_be_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for gain, chosen in ((0.5, "float32"), (2.0, "bfloat16")):
        monkeypatch.setattr(device, "measure_gain", lambda gain=gain: gain)
        assert choose_precision(torch.device("cpu")) == chosen


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_the_user_has_the_last_word_on_the_number_format(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRECISION_VARIABLE, asked)
    assert choose_precision(torch.device("cpu")) == asked
    monkeypatch.setenv(PRECISION_VARIABLE, "float16")
    with pytest.raises(DeviceError, match=r"TELLAPART_PRECISION must be auto.*'float16'.*unset"):
        choose_precision(torch.device("cpu"))


def test_float32_where_it_is_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_precision(torch.device("mps")) == "float32"
    with monkeypatch.context() as patch:
        patch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        assert choose_precision(torch.device("cpu")) == "float32"
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert choose_precision(torch.device("cpu")) == "float32"


def test_the_seed_is_set() -> None:
    prepare_process(7)
    first = torch.rand(3)
    prepare_process(7)
    assert torch.equal(first, torch.rand(3))
    prepare_process()
    assert not torch.equal(first, torch.rand(3))


def test_the_machine_is_described_without_its_name() -> None:
    found = describe_environment()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__.partition("+")[0]
    assert found["cores"] == count_cores() >= 1
    assert isinstance(found["memory_gb"], float)
    assert measure_free_memory() <= 1.05e9 * found["memory_gb"]
    host = platform.node()
    assert not host or not any(host == str(value) for value in found.values())


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({SPINS: "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_threads_spin_but_shortly_unless_the_environment_says_otherwise(
    given: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (SPINS, "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is undone
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "torch")
        wait_shortly()
    assert os.environ.get(SPINS) == spins


TRAIN = """
import sys
from tellapart.device import prepare_libraries
prepare_libraries()
import torch
layer = torch.nn.Linear(2, 2)
step = torch.optim.AdamW(layer.parameters(), fused=True)
layer(torch.ones(1, 2)).sum().backward()
step.step()
print([name for name in sys.modules if name.startswith("triton.")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the words are those of GNU's OpenMP")
@pytest.mark.parametrize("program", [TRAIN, "import tellapart; tellapart.train_model; print([])"])
def test_a_process_of_its_own_spins_but_shortly_and_loads_no_triton(program: str) -> None:
    """PyTorch's optimisers load Triton where it is: this fails where they do so, or need it."""
    plain = {name: os.environ[name] for name in os.environ if not name.startswith(("OMP", "GOMP"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=plain | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr
    assert done.stdout.strip() == "[]"
