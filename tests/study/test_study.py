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

from tellapart.data import load_images
from tellapart.data.dataset import Dataset
from tellapart.errors import BudgetError, SettingError, UserError, WorkspaceError
from tellapart.models import SimpleSettings
from tellapart.records import ModelStep, RunRecord, StepPlan, StudyRecord, SweepStep
from tellapart.study import study as module
from tellapart.study.deadline import Deadline
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.study.start import name_steps, prepare_study
from tellapart.study.steps import STEPS
from tellapart.study.study import describe_plan, plan_study, run_study
from tellapart.train.loop import fit_network
from tellapart.workspace import read_record
from tests.study.conftest import SETTINGS
from tests.study.contexts import Sayings

USUAL = name_steps(StudySettings())
MODELS = ("baseline", "conv", "dense", "transfer", "search")
TINY = StudySettings(
    steps=("baseline",),
    epochs=1,
    model=SimpleSettings(width=4, dense=8),
    compute=ComputeSettings(device="cpu"),
)


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
    settings = SETTINGS.model_copy(update={"steps": ("conv", "search"), "epochs": 2})
    record = run_study(dataset, settings, tmp_path / "study")
    sweep = record.steps["conv"]
    assert isinstance(sweep, SweepStep)
    assert {one.val_score.value for one in sweep.runs} == {1.0}
    assert (sweep.ranking.taken, sweep.ranking.limit) == (0, "images")
    assert "No difference beyond chance was seen" in sweep.answer
    assert (tmp_path / "study" / "report.html").is_file()
    assert run_study(dataset, settings, tmp_path / "study") == record


def test_results_hold_what_each_step_came_to(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    assert read_record(folder / "results.json", StudyRecord) == record
    assert tuple(record.steps) == USUAL and not record.coming and not record.left_out
    assert record.seconds > 0 and record.peak_memory_mb > 50
    assert (record.minutes, record.metric, record.command) == (
        *(15.0, "accuracy", "tellapart study digits"),
    )
    assert sum(sum(part.values()) for part in record.data.counts.values()) == 1797
    for name, step in record.steps.items():
        assert step.seconds > 0 and step.answer
        assert (step.given is not None) == (STEPS[name].weight > 0)
        if not isinstance(step, ModelStep):
            continue
        for figure in (step.val_score, step.test_score):
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
            assert figure.n == 269
        hits = sum(step.test.confusion[i][i] for i in range(10))
        assert sum(map(sum, step.test.confusion)) == 269
        assert step.test.scores["accuracy"].value == pytest.approx(hits / 269)
        assert name in MODELS
    for name in ("conv", "dense"):
        sweep = record.steps[name]
        assert isinstance(sweep, SweepStep)
        assert [len(size.seeds) for size in sweep.sizes] == [2, 2]
        assert "In resamples of seeds and images the choice was" in sweep.answer
    assert len(record.comparisons) == 10


def test_test_is_opened_once_a_model(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    looks = [
        (look["step"], look["look"]) for look in json.loads((folder / "ledger.json").read_text())
    ]
    looked = ("baseline", "conv", "dense", "transfer", "transfer", "search")  # fine-tuned too
    assert looks == [(name, number) for number, name in enumerate(looked, 1)]
    assert [entry.step for entry in record.ledger] == [step for step, _ in looks]


def test_every_cell_leaves_its_files(whole: tuple[StudyRecord, Path]) -> None:
    folder = next(path.parent for path in (whole[1] / "baseline").glob("*/record.json"))
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
    left = {path.name for path in whole[1].rglob("*.tmp")} | {
        path.name for path in whole[1].glob(".*")
    }
    assert not left
    for name in ("plan.json", "environment.json", "status.json", "split.json", "report.html"):
        assert (whole[1] / name).is_file()


def test_a_finished_study_is_read_not_done_again(
    study: Path, digits: Dataset, settings: StudySettings, whole: tuple[StudyRecord, Path]
) -> None:
    before = list_cells(study)
    again = run_study(digits, settings, study, command="tellapart study digits")
    assert again.steps == whole[0].steps
    assert list_cells(study) == before


def test_other_settings_are_refused(study: Path, digits: Dataset, settings: StudySettings) -> None:
    other = settings.model_copy(update={"epochs": 3})
    with pytest.raises(WorkspaceError, match="its epochs is 1, this command's is 3"):
        run_study(digits, other, study)


def test_who_trains_and_where_may_change(
    study: Path, digits: Dataset, settings: StudySettings
) -> None:
    other = settings.model_copy(update={"compute": ComputeSettings(executor="inline")})
    run_study(digits, other, study)


@pytest.mark.parametrize("name", ["plan.json", "conv/plan.json", "conv/record.json"])
@pytest.mark.parametrize("content", ["{}", "{"])
def test_an_altered_file_is_refused_by_name(
    name: str, content: str, study: Path, digits: Dataset, settings: StudySettings
) -> None:
    if name == "conv/plan.json":
        (study / "conv" / "record.json").unlink()
    (study / name).write_text(content)
    with pytest.raises(WorkspaceError, match=name.replace(".", r"\.")):
        run_study(digits, settings, study)


@pytest.mark.parametrize("content", ['"x"', "{"])
def test_a_decision_that_was_altered_is_refused_by_name(
    content: str, study: Path, digits: Dataset, settings: StudySettings
) -> None:
    (study / "search" / "record.json").unlink()
    (study / "search" / "longer.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"longer\.json"):
        run_study(digits, settings, study)


def test_a_study_keeps_the_number_format_that_it_began_with(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"steps": ("conv",)})
    monkeypatch.setenv("TELLAPART_PRECISION", "bfloat16")
    trained = 0

    def stop_in_the_second(*args: Any) -> RunRecord:
        nonlocal trained
        trained += 1
        if trained == 2:
            raise KeyboardInterrupt
        return fit_network(*args)

    with monkeypatch.context() as patch:
        patch.setattr("tellapart.cells.cell.fit_network", stop_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            run_study(digits, settings, tmp_path / "study")
    status = json.loads((tmp_path / "study" / "status.json").read_text())
    assert status["status"] == "stopped"
    before = list_cells(tmp_path / "study")
    monkeypatch.setenv("TELLAPART_PRECISION", "float32")
    run_study(digits, settings, tmp_path / "study")
    after = list_cells(tmp_path / "study")
    assert len(before) == 1 and len(after) == 4
    assert before.items() <= after.items()
    for cell in after:
        run = read_record(tmp_path / "study" / cell / "record.json", RunRecord)
        assert run.precision == "bfloat16"


def test_results_and_report_are_written_after_every_step(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TINY.model_copy(update={"steps": ("inspect", "baseline")})

    def stop(*args: Any) -> RunRecord:
        raise KeyboardInterrupt

    monkeypatch.setattr("tellapart.cells.cell.fit_network", stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(digits, settings, tmp_path / "study")
    record = read_record(tmp_path / "study" / "results.json", StudyRecord)
    assert (tuple(record.steps), record.coming) == (("inspect",), ("baseline", "model"))
    assert (tmp_path / "study" / "report.html").is_file()


def test_the_notebooks_figures_are_marked(tmp_path: Path, digits: Dataset) -> None:
    settings = TINY.model_copy(update={"protocol": "notebook"})
    record = run_study(digits, settings, tmp_path / "n")
    step = record.steps["baseline"]
    assert isinstance(step, ModelStep)
    assert step.test.optimistic and step.honest_score is not None
    assert "optimistic" in step.answer
    assert "optimistic" in (tmp_path / "n" / "report.html").read_text()
    assert record.ledger[0].purpose == "choose the best epoch (protocol notebook)"
    assert record.minutes is None and step.given is None
    args = json.loads(next((tmp_path / "n" / "baseline").glob("*/args.json")).read_text())
    assert args["recipe"]["batch_size"] == 64 and args["recipe"]["schedule"] == "constant"


def test_choices_are_made_by_the_metric_that_was_named(tmp_path: Path, digits: Dataset) -> None:
    settings = TINY.model_copy(update={"metric": "macro_f1", "epochs": 2})
    step = run_study(digits, settings, tmp_path / "f1").steps["baseline"]
    assert isinstance(step, ModelStep)
    assert step.run.metric == step.test.metric == "macro_f1"
    best = max(step.run.history, key=lambda row: row.val_score)
    assert step.run.best_epoch == best.epoch and step.val_score.value == best.val_score
    heading = next((tmp_path / "f1").glob("*/*/history.csv")).read_text().splitlines()[0]
    assert heading.endswith("val_loss,val_accuracy,val_macro_f1")


def run_elsewhere(folder: Path, backbone: str, cache: Path) -> subprocess.Popen[bytes]:
    """Start the study of the killed test in another process."""
    code = (
        "import sys; from pathlib import Path; from tellapart.data import load_images;"
        "from tellapart.study.study import run_study; from tests.study.test_study import choose;"
        "run_study(load_images('digits'), choose(sys.argv[2]), Path(sys.argv[1]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), backbone],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TELLAPART_CACHE": str(cache)},
    )


def choose(backbone: str) -> StudySettings:
    """Return the study that is killed in each kind of step."""
    own = TransferSettings(backbones=(backbone,), image_size=32)
    changed = {"steps": ("conv", "search", "transfer"), "transfer": own}
    return SETTINGS.model_copy(update=changed)


@pytest.mark.slow  # kills in a sweep, a search and a checkpoint have tests of their own
def test_a_killed_study_ends_with_the_same_cells(
    whole: tuple[StudyRecord, Path], small_backbone: str, tmp_path: Path
) -> None:
    folder, cache = tmp_path / "killed", whole[1].parent / "cache"
    done: dict[str, int] = {}
    for wanted in ("transfer/*/args.json", "search/*/record.json"):
        process = run_elsewhere(folder, small_backbone, cache)
        while not list(folder.glob(wanted)) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        cells = list_cells(folder)
        assert done.items() <= cells.items(), "a finished cell was done again"
        done = cells
    process = run_elsewhere(folder, small_backbone, cache)
    assert process.wait() == 0
    cells = list_cells(folder)
    assert done.items() <= cells.items()
    for step in ("conv", "search"):
        own = {name for name in cells if name.startswith(step)}
        assert own == {name for name in list_cells(whole[1]) if name.startswith(step)}
    ledger = json.loads((folder / "ledger.json").read_text())
    assert [look["step"] for look in ledger] == ["conv", "transfer", "search"]


def test_refused_settings_leave_the_folder_free(tmp_path: Path, digits: Dataset) -> None:
    nowhere = TransferSettings(backbones=("local-dir:nowhere",))
    wrong = SETTINGS.model_copy(update={"transfer": nowhere})
    with pytest.raises(UserError, match="nowhere"):
        run_study(digits, wrong, tmp_path / "s")
    late = StudySettings(protocol="notebook", minutes=3)
    with pytest.raises(SettingError, match=r"protocol notebook trains as long .*--minutes 3"):
        run_study(digits, late, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_minutes_in_which_nothing_can_be_trained_are_refused_with_those_that_would_do(
    tmp_path: Path, digits: Dataset
) -> None:
    with pytest.raises(BudgetError, match=r"at least 0\.\d+ for 8 steps .*, but got 0.01; allow"):
        run_study(digits, StudySettings(minutes=0.01), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_step_that_time_does_not_suffice_for_is_left_out_and_named(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search has a second; the baseline has what it needs."""
    fit = module._fit_step

    def fit_little(context: Any, names: list[str], name: str) -> tuple[StepPlan, Deadline]:
        if name != "search":
            return fit(context, names, name)
        deadline = Deadline(time.monotonic() + 1)
        return module._plan_step(context, name, deadline), deadline

    monkeypatch.setattr(module, "_fit_step", fit_little)
    settings = TINY.model_copy(update={"steps": ("baseline", "search")})
    reporter = Sayings()
    record = run_study(digits, settings, tmp_path / "s", reporter)
    assert tuple(record.steps) == ("baseline", "model") and list(record.left_out) == ["search"]
    assert "it needs about" in record.left_out["search"]
    assert any(said.startswith("left out: it needs about") for said in reporter.said)
    assert "it needs about" in (tmp_path / "s" / "report.html").read_text().replace("\u00a0", " ")
    plan = plan_study(digits, settings, tmp_path / "none")
    assert "search: left out: it needs about" in describe_plan(plan)


@pytest.mark.slow
def test_a_plan_says_each_step_and_writes_nothing(
    tmp_path: Path, digits: Dataset, settings: StudySettings
) -> None:
    plan = plan_study(digits, settings, tmp_path / "s")
    assert tuple(plan.steps) == USUAL and plan.minutes == 15
    lines = describe_plan(plan).splitlines()
    assert [line.partition(":")[0] for line in lines[:-2]] == list(USUAL)
    assert "test: 269 images can show that one model is better than another by about" in lines[-2]
    assert "conv: sizes 4, 8; 2 seeds of 1 epoch" in lines[2]
    assert lines[-1] == "ends after 15 min (--minutes M changes that)"
    assert not (tmp_path / "s").exists()
    free = StudySettings(protocol="notebook", steps=("search",))
    said = describe_plan(plan_study(digits, free, tmp_path / "s"))
    assert "search: 1 trial of 50 epochs" in said and "no limit of time" in said


def test_another_split_seed_divides_the_images_anew(tmp_path: Path, digits: Dataset) -> None:
    def find_val(seed: int) -> list[int]:
        settings = StudySettings(steps=("inspect",), split_seed=seed)
        context, _ = prepare_study(digits, settings, tmp_path / "s", None, None)
        val: list[int] = context.seal.split.val.tolist()
        return val

    assert find_val(0) == find_val(0) != find_val(1)
    settings = StudySettings(steps=("inspect",), split_seed=3)
    assert run_study(digits, settings, tmp_path / "s").split_seed == 3
    with pytest.raises(WorkspaceError, match="its split_seed is 3, this command's is 0"):
        run_study(digits, StudySettings(steps=("inspect",)), tmp_path / "s")


def test_all_steps_but_vary_are_usual() -> None:
    assert set(USUAL) | {"vary"} == set(STEPS)
