"""A sweep's cells in several processes: the same numbers, whoever is killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from tellapart.plan import StudySettings, SweepSettings

from tellapart.data import load_images
from tellapart.data.dataset import share_dataset
from tellapart.device import count_threads, limit_threads
from tellapart.records import StudyRecord, SweepStep
from tellapart.study import run_study
from tellapart.workspace import read_record

ROOT = Path(__file__).resolve().parents[2]
SWEEP = StudySettings(
    steps=("conv",),
    epochs=4,
    sweep=SweepSettings(seeds=2, sizes={"conv": (4, 8, 12)}, processes=2),
    device="cpu",
)


def read_sweep(folder: Path) -> SweepStep:
    step = read_record(folder / "results.json", StudyRecord).steps["conv"]
    assert isinstance(step, SweepStep)
    return step


def read_weights(folder: Path) -> dict[str, bytes]:
    """Return the best weights by size and seed, whatever the hash of the cell."""
    return {
        path.parent.parent.name.rpartition("-")[0]: path.read_bytes()
        for path in folder.glob("conv/*/weights/best.safetensors")
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep in this process, with one thread."""
    folder = tmp_path_factory.mktemp("sweeps") / "alone"
    before = count_threads()
    alone = SWEEP.sweep.model_copy(update={"processes": 1})
    limit_threads(1)
    try:
        run_study(load_images("digits"), SWEEP.model_copy(update={"sweep": alone}), folder)
    finally:
        limit_threads(before)
    return folder


def test_several_processes_come_to_the_same_bits_as_one_with_one_thread(
    alone: Path, tmp_path: Path
) -> None:
    run_study(load_images("digits"), SWEEP, tmp_path / "together")
    one, several = read_sweep(alone), read_sweep(tmp_path / "together")
    assert read_weights(alone) == read_weights(tmp_path / "together")
    assert len(read_weights(alone)) == 6
    assert [(s.size, s.seeds, s.best_epochs) for s in one.sizes] == [
        (s.size, s.seeds, s.best_epochs) for s in several.sizes
    ]
    assert one.verdict == several.verdict
    assert not list((tmp_path / "together").glob(".pixels*"))


START = """
import sys
from pathlib import Path
from tellapart.data import load_images
from tellapart.study import run_study
from tests.study.test_cells import SWEEP

longer = SWEEP.model_copy(update={"epochs": 40})
run_study(load_images("digits"), longer, Path(sys.argv[1]))
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    script = folder.parent / "start.py"
    script.write_text(START)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(script), str(folder)], env=environment)


def list_records(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("conv/*/record.json")}


def wait_for_records(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    end = time.monotonic() + 120
    while len(list_records(folder)) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_a_sweep_goes_on_after_its_worker_and_after_its_driver_were_killed(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with start(folder) as process:
        wait_for_records(process, folder, 1)
        workers = psutil.Process(process.pid).children(recursive=True)
        trainers = [one for one in workers if "hand import serve" in " ".join(one.cmdline())]
        trainers[0].kill()  # its cell is tried once more, by a new process
        wait_for_records(process, folder, 3)
        process.kill()
        process.wait()
    before = list_records(folder)
    with start(folder) as process:
        assert process.wait(timeout=180) == 0
    after = list_records(folder)
    assert len(after) == 6
    assert before.items() <= after.items(), "a finished cell was done again"
    step = read_sweep(folder)
    assert [(size.size, len(size.seeds), size.failed) for size in step.sizes] == [
        (4, 2, 0),
        (8, 2, 0),
        (12, 2, 0),
    ]
    assert not list(folder.glob(".pixels*"))


def make_photos(folder: Path) -> Path:
    """Write 60 files of two classes."""
    for number, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for file in range(30):
            pixels = np.full((12, 12, 3), 40 + 100 * number + file, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{file}.png")
    return folder


@pytest.mark.parametrize("what", ["digits", "photos"])
def test_shared_pixels_are_the_same_and_small_to_hand_on(what: str, tmp_path: Path) -> None:
    name = "digits" if what == "digits" else str(make_photos(tmp_path / "photos"))
    source = (images := load_images(name)).source
    shared = share_dataset(images, tmp_path / "pixels.npy").source
    rows = np.arange(60)[::7]
    pixels = source.read(rows)
    assert (shared.read(rows) == pixels).all()
    handed = pickle.dumps(shared)
    assert len(handed) < 100 * 60 + 500 < len(pickle.dumps(source)), "pixels were handed on"
    there = pickle.loads(handed)
    assert (there.read(rows) == pixels).all()
    assert there.streamed == source.streamed
    if what == "photos":  # other sizes are decoded still
        assert there.read(rows, 6).shape == (len(rows), 6, 6, 3)


def test_trials_are_found_by_a_start_with_another_number_of_processes(tmp_path: Path) -> None:
    """As they were trained: with one core each, though they would not be now."""
    settings = StudySettings(
        steps=("search",), epochs=1, trials=2, sweep=SweepSettings(processes=2)
    )
    digits = load_images("digits")
    run_study(digits, settings, tmp_path / "s")
    cells = {path: path.stat().st_mtime_ns for path in tmp_path.glob("s/search/*/record.json")}
    assert len(cells) > 2
    for path in ("search/record.json", "results.json", "search/trials.journal"):
        (tmp_path / "s" / path).unlink()
    alone = settings.model_copy(update={"sweep": SweepSettings(processes=1)})
    record = run_study(digits, alone, tmp_path / "s")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("s/search/*/record.json")}
    assert after == cells
    assert record.steps["search"].seconds > 0
