"""The whole study on the embedded digits, small: what it leaves, and what a kill costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tellapart.config import HeadSettings, TrainSettings
from tellapart.data import load_images
from tellapart.data.dataset import Dataset
from tellapart.errors import UserError, WorkspaceError
from tellapart.models import SimpleSettings
from tellapart.plan import StudySettings, SweepSettings, TransferSettings
from tellapart.records import STEPS, RunRecord, StudyRecord, SweepStep
from tellapart.study import run_study
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.workspace import read_record

SMALL = StudySettings(
    epochs=2,
    trials=2,
    sweep=SweepSettings(seeds=2, sizes={"conv": (4, 8), "dense": (8, 16)}),
)


def make_small(backbone: str) -> StudySettings:
    """Return the settings of a small study, with a backbone for step 6."""
    transfer = TransferSettings(backbones=(backbone,), head=HeadSettings(dense=32))
    return SMALL.model_copy(update={"transfer": transfer})


@pytest.fixture(scope="module")
def small(small_backbone: str) -> StudySettings:
    return make_small(small_backbone)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small: StudySettings) -> Path:
    """A finished small study."""
    folder = tmp_path_factory.mktemp("studies") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(tmp_path_factory.mktemp("cache")))
        run_study(load_images("digits"), small, folder, command="tellapart study digits")
    return folder


def list_cells(folder: Path) -> dict[str, int]:
    """Return every finished cell and when its record was written, in nanoseconds."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}": path.stat().st_mtime_ns
        for path in folder.glob("*/*/record.json")
    }


def test_an_easy_set_has_a_report_and_is_read_back(tmp_path: Path) -> None:
    """Every training of two plain colours comes to 100 %: nothing tells the sizes apart."""
    for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(180):
            shade = tuple(max(0, value - number) for value in colour)
            Image.new("RGB", (8, 8), shade).save(tmp_path / "photos" / name / f"{number}.png")
    dataset = load_images(str(tmp_path / "photos"))
    settings = StudySettings(
        steps=("conv", "dense", "search"),
        epochs=2,
        trials=2,
        sweep=SweepSettings(seeds=2, sizes={"conv": (4, 8), "dense": (8, 16)}),
        device="cpu",
    )
    record = run_study(dataset, settings, tmp_path / "study")
    for step in ("conv", "dense"):
        sweep = record.steps[step]
        assert isinstance(sweep, SweepStep)
        assert {one.val_accuracy.value for one in sweep.runs} == {1.0}
        assert sweep.verdict.kind == "flat" and "Size does not matter" in sweep.verdict.sentence
    assert (tmp_path / "study" / "report.html").is_file()
    assert run_study(dataset, settings, tmp_path / "study") == record


def test_results_hold_what_the_design_lists(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results["steps"]) == list(STEPS)
    assert {"data", "protocol", "environment", "seconds", "peak_memory_mb"} <= results.keys()
    assert results["seconds"] > 0 and results["peak_memory_mb"] > 50
    counts = results["data"]["counts"]
    assert sum(sum(part.values()) for part in counts.values()) == 1797
    for name in STEPS[1:]:
        step = results["steps"][name]
        assert step["status"] == "done" and step["seconds"] > 0 and step["answer"]
        for figure in (step["val_accuracy"], step["test_accuracy"]):
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
            assert figure["n"] == 269
    for name in ("conv", "dense"):
        assert [size["size"] for size in results["steps"][name]["sizes"]]
        assert all(len(size["seeds"]) == 2 for size in results["steps"][name]["sizes"])
        assert results["steps"][name]["verdict"]["sentence"]
    assert results["steps"]["transfer"]["backbones"][0]["name"] == "small"
    assert len(results["comparisons"]) == 10


def test_whether_more_data_would_help_is_asked_after_the_steps(finished: Path) -> None:
    record = read_record(finished / "results.json", StudyRecord)
    assert record.learning is not None
    search = record.steps["search"]
    assert record.learning.model == search.model  # type: ignore[union-attr]  # all but inspect
    train = sum(record.data.counts["train"].values())
    images = [point.images for point in record.learning.points]
    assert images[-1] == train and images == sorted(images)
    assert all(len(point.seeds) == 2 for point in record.learning.points)
    assert record.learning.sentence in (finished / "report.html").read_text().replace("&nbsp;", " ")
    assert not [look for look in record.ledger if look.step == "learn"]


def test_a_study_keeps_the_number_format_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SMALL.model_copy(update={"steps": ("conv",)})
    monkeypatch.setenv("TELLAPART_PRECISION", "bfloat16")
    trained = 0

    def stop_in_the_second(*args: Any) -> RunRecord:
        nonlocal trained
        trained += 1
        if trained == 2:
            raise KeyboardInterrupt
        return fit_network(*args)

    with monkeypatch.context() as patch:
        patch.setattr("tellapart.study.bench.fit_network", stop_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            run_study(load_images("digits"), settings, tmp_path / "study")
    before = list_cells(tmp_path / "study")
    monkeypatch.setenv("TELLAPART_PRECISION", "float32")
    run_study(load_images("digits"), settings, tmp_path / "study")
    after = list_cells(tmp_path / "study")
    assert len(before) == 1 and len(after) == 4
    assert before.items() <= after.items()
    for cell in after:
        run = read_record(tmp_path / "study" / cell / "record.json", RunRecord)
        assert run.precision == "bfloat16"


def test_confusion_counts_every_test_image_once(finished: Path) -> None:
    record = read_record(finished / "results.json", StudyRecord)
    for name in STEPS[1:]:
        test = record.steps[name].test  # type: ignore[union-attr]  # all but inspect
        hits = sum(test.confusion[i][i] for i in range(10))
        assert sum(map(sum, test.confusion)) == 269
        assert test.accuracy.value == pytest.approx(hits / 269)


def test_test_split_is_opened_once_a_step(finished: Path) -> None:
    ledger = json.loads((finished / "ledger.json").read_text())
    assert [look["step"] for look in ledger] == list(STEPS[1:])
    assert [look["look"] for look in ledger] == [1, 2, 3, 4, 5]


def test_every_cell_leaves_its_files(finished: Path) -> None:
    final = finished / "baseline"
    folder = next(path.parent for path in final.glob("*/record.json"))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "args.json",
        "history.csv",
        "weights/best.safetensors",
        "weights/last.safetensors",
        "confusion_matrix.png",
        "confusion_matrix_normalized.png",
        "results.png",
        "predictions.csv",
    } <= names
    assert not [path for path in finished.rglob("*.tmp")]


def test_first_trial_is_the_reference_network(finished: Path) -> None:
    trial = json.loads((finished / "results.json").read_text())["steps"]["search"]["trials"][0]
    assert trial["settings"]["stages"] == 3 and trial["settings"]["width"] == 32
    assert trial["settings"]["dense"] == 2048 and not trial["settings"]["norm"]


def test_finished_study_is_read_not_redone(finished: Path, small: StudySettings) -> None:
    before = list_cells(finished)
    start = time.perf_counter()
    run_study(load_images("digits"), small, finished)
    assert list_cells(finished) == before
    assert time.perf_counter() - start < 60


def test_other_settings_are_refused(finished: Path, small: StudySettings) -> None:
    other = small.model_copy(update={"sweep": small.sweep.model_copy(update={"seeds": 3})})
    with pytest.raises(WorkspaceError, match="its seeds is 2"):
        run_study(load_images("digits"), other, finished)


def test_notebook_protocol_is_marked(tmp_path: Path) -> None:
    settings = StudySettings(steps=("baseline",), epochs=2, protocol="notebook")
    record = run_study(load_images("digits"), settings, tmp_path / "n")
    step = record.steps["baseline"]
    assert step.test.optimistic  # type: ignore[union-attr]  # a baseline
    assert "optimistic" in step.answer
    assert "optimistic" in (tmp_path / "n" / "report.html").read_text()
    assert record.ledger[0].purpose == "choose the best epoch (protocol notebook)"
    args = json.loads(next((tmp_path / "n" / "baseline").glob("*/args.json")).read_text())
    assert args["recipe"]["batch_size"] == 64 and args["recipe"]["schedule"] == "constant"


def test_killed_study_ends_with_the_same_cells(
    finished: Path, small_backbone: str, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from tellapart.data import load_images;"
        "from tellapart.study import run_study; from tests.study.test_study import make_small;"
        "run_study(load_images('digits'), make_small(sys.argv[2]), Path(sys.argv[1]))"
    )
    environment = os.environ | {"TELLAPART_CACHE": str(tmp_path / "cache")}

    def start() -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder), small_backbone], cwd=root, env=environment
        )

    done: dict[str, int] = {}
    for wanted in ("conv/*/record.json", "search/*/record.json", "transfer/*/args.json"):
        process = start()
        while not list(folder.glob(wanted)) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        cells = list_cells(folder)
        assert done.items() <= cells.items(), "a finished cell was done again"
        done = cells
    process = start()
    assert process.wait() == 0
    cells = list_cells(folder)
    assert done.items() <= cells.items()
    assert cells.keys() == list_cells(finished).keys()
    ledger = json.loads((folder / "ledger.json").read_text())
    assert [look["step"] for look in ledger] == list(STEPS[1:])


def test_equal_settings_are_one_cell_whatever_the_step(tmp_path: Path) -> None:
    settings = StudySettings(
        steps=("conv", "dense"),
        epochs=1,
        sweep=SweepSettings(seeds=1, sizes={"conv": (32, 64), "dense": (64, 128)}),
    )
    record = run_study(load_images("digits"), settings, tmp_path / "s")
    conv, dense = record.steps["conv"].runs, record.steps["dense"].runs  # type: ignore[union-attr]  # sweeps
    assert dense[1] == conv[1]
    assert len(list_cells(tmp_path / "s")) == 3


def test_a_failed_training_is_counted_and_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Width 8 fails with seed 1, and width 16 with both."""
    failing = {(8, 1), (16, 0), (16, 1)}
    tried: list[tuple[int, int]] = []

    def fit(dataset: Dataset, rows: Rows, task: Task, folder: Path, *watch: Any) -> RunRecord:
        place = (task.model.model_dump()["width"], task.recipe.seed)
        tried.append(place)
        if place in failing:
            recipe = TrainSettings(epochs=1, lr=1e30, schedule="constant")
            task = Task(SimpleSettings(width=4, dense=8), recipe, "cpu", precision="float32")
        return fit_network(dataset, rows, task, folder, *watch)

    monkeypatch.setattr("tellapart.study.bench.fit_network", fit)
    settings = StudySettings(
        steps=("conv",),
        epochs=1,
        sweep=SweepSettings(seeds=2, sizes={"conv": (4, 8, 16)}),
        device="cpu",
    )
    record = run_study(load_images("digits"), settings, tmp_path / "s")
    step = record.steps["conv"]
    assert isinstance(step, SweepStep)
    assert [(size.size, size.failed, len(size.seeds)) for size in step.sizes] == [
        (4, 0, 2),
        (8, 1, 1),
    ]
    assert [left.size for left in step.left_out] == [16]
    assert "Not counted are trainings that failed: 1." in step.answer
    assert "(1 failed)" in (tmp_path / "s" / "report.html").read_text()
    assert len(tried) == 6
    (tmp_path / "s" / "conv" / "record.json").unlink()
    again = run_study(load_images("digits"), settings, tmp_path / "s").steps["conv"]
    assert isinstance(again, SweepStep)
    assert (again.sizes, again.verdict) == (step.sizes, step.verdict)
    assert len(tried) == 6


def test_refused_settings_leave_the_folder_free(tmp_path: Path) -> None:
    nowhere = TransferSettings(backbones=("local-dir:nowhere",))
    wrong = SMALL.model_copy(update={"transfer": nowhere})
    with pytest.raises(UserError, match="nowhere"):
        run_study(load_images("digits"), wrong, tmp_path / "s")
    assert not (tmp_path / "s").exists()
