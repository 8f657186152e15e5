"""Bad input on the command line: one or two lines, exit code 2, nothing written over."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tellapart.cli import app, main
from tellapart.records import BaselineStep, StudyRecord


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def make_folder(root: Path, classes: dict[str, int], size: int = 12) -> Path:
    """Write a folder of noise images, so many for each class."""
    noise = np.random.default_rng(0)
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused; return what it says."""
    assert main(list(arguments)) == 2
    _, mark, said = capsys.readouterr().err.partition("tellapart: ")
    assert mark and "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2, said
    return said


def test_unknown_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'cifar10'?" in refuse(capsys, "study", "cifar1O")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "command", ["study", "inspect", "train", "sweep", "search", "learn", "transfer"]
)
def test_a_command_without_data_says_what_to_give(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refuse(capsys, command)
    assert "a folder of images for each class, or a name (digits, cifar10" in said
    assert f"tellapart {command} photos/" in said
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("data", ["photos/", "photos", "digits"])
def test_data_without_a_command_names_it(
    data: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "photos").mkdir()
    assert f"did you mean tellapart study {data}?" in refuse(capsys, data)
    assert 'Did you mean "study"?' in refuse(capsys, "stuby")


def test_evaluate_finds_the_folder_that_a_run_was_made_of(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_folder(here / "My photos", {"cats": 9, "dogs": 9})
    flags = ("--width", "4", "--dense", "8", "--epochs", "1")
    assert main(["train", "My photos", *flags, "--out", "run"]) == 0
    capsys.readouterr()
    for run in ("run", "run/baseline"):
        assert main(["evaluate", run]) == 0
        assert "baseline  val " in capsys.readouterr().out
    photos.rename(here / "moved")
    said = refuse(capsys, "evaluate", "run")
    assert f"{photos}; say where it is now: tellapart evaluate run FOLDER" in said
    assert main(["evaluate", "run", "moved"]) == 0
    status = json.loads((here / "run" / "status.json").read_text())
    del status["folder"]  # as before it was kept
    (here / "run" / "status.json").write_text(json.dumps(status))
    assert "of the folder 'my-photos'; say where" in refuse(capsys, "evaluate", "run")


def test_measuring_is_announced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "digits", "--plan", "--steps", "baseline"]) == 0
    assert "measuring how fast this machine trains" in capsys.readouterr().err


def test_missing_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "photos/none does not exist" in refuse(capsys, "study", "photos/none")


def test_empty_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert "empty" in refuse(capsys, "inspect", "./empty")


def test_one_class(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(here / "photos", {"cat": 6})
    assert "class" in refuse(capsys, "study", "photos")


def test_no_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        (here / "photos" / name).mkdir(parents=True)
        (here / "photos" / name / "note.txt").write_text("no image")
    assert "image" in refuse(capsys, "study", "photos")


def test_links_are_followed_with_a_flag(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(here / "all", {"cat": 8, "dog": 8})
    (here / "photos").mkdir()
    for name in ("cat", "dog"):
        (here / "photos" / name).symlink_to(here / "all" / name)
    assert "--follow-links" in refuse(capsys, "inspect", "photos")
    flags = ["--epochs", "1", "--width", "4", "--dense", "8", "--out", "done"]
    assert main(["train", "photos", "--follow-links", *flags]) == 0
    assert "--follow-links" in refuse(capsys, "evaluate", "done", "photos")
    assert main(["evaluate", "done", "photos", "--follow-links"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only here may a name be any bytes")
def test_data_of_any_name_have_a_report(here: Path) -> None:
    odd = b"caf\xe9 \x1b[1m"
    make_folder(here / "photos", {"cat": 8, "dog": 8})
    try:
        os.rename(b"photos", odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    call = [os.fsencode(sys.executable), b"-m", b"tellapart", b"inspect", b"./" + odd]
    call += [b"--out", b"\xe9"]
    done = subprocess.run(call, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stderr
    record = json.loads(Path(os.fsdecode(b"\xe9/results.json")).read_text())
    assert "caf\\xe9 \\x1b[1m" in record["data"]["origin"]


def test_too_few_to_split(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(here / "photos", {"cat": 8, "dog": 3})
    said = refuse(capsys, "train", "photos", "--epochs", "1")
    assert "dog" in said and "3" in said


def test_unreadable_image_is_named_and_left_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_folder(here / "photos", {"cat": 8, "dog": 8})
    (here / "photos" / "cat" / "broken.jpg").write_bytes(b"not a picture")
    assert main(["inspect", "photos", "--out", "done"]) == 0
    assert "broken.jpg" in capsys.readouterr().err
    results = json.loads((here / "done" / "results.json").read_text())
    assert [file["path"] for file in results["data"]["excluded"]] == ["cat/broken.jpg"]
    assert sum(sum(part.values()) for part in results["data"]["counts"].values()) == 16
    assert "broken.jpg" in (here / "done" / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("local-dir:nowhere", "nowhere/config.json does not exist"),
        ("mobilenet_v2", "mobilenetv2"),
        ("mobilenetv2_100.nonsense", "no such weights of mobilenetv2_100, only mobilenetv2_100.ra"),
        ("folder:weights", "local-dir:FOLDER or hf-hub:NAME, but got 'folder:weights'"),
    ],
)
def test_backbone_that_cannot_be_had(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, needed: str
) -> None:
    said = refuse(capsys, "study", "digits", "--backbone", name, "--out", "out")
    assert needed in said
    assert not (here / "out" / "baseline").exists()


def test_backbone_without_network(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(here / "hub"))
    said = refuse(capsys, "transfer", "digits", "--backbone", "mobilenetv2_100.ra_in1k")
    assert "tellapart fetch --backbone mobilenetv2_100.ra_in1k" in said
    assert "local-dir:FOLDER" in said


def test_data_dir_without_the_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refuse(capsys, "study", "cifar10", "--data-dir", str(here))
    assert "cifar" in said


def test_augment(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refuse(capsys, "train", "digits", "--augment", "standard+flp")
    assert "got 'flp'; did you mean 'flip'?" in said
    assert list(here.iterdir()) == []
    flags = ["--augment", "standard+flip", "--epochs", "1", "--width", "4", "--dense", "8"]
    assert main(["train", "digits", *flags, "--out", "done"]) == 0
    results = json.loads((here / "done" / "results.json").read_text())
    baseline = results["steps"]["baseline"]
    assert baseline["run"]["settings"]["augment"] == "flip+shift+cutout"
    assert "flip+shift+cutout augmentation" in baseline["answer"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--steps inspect,bseline", "--steps must name steps of .* did you mean 'baseline'?"),
        ("--steps=", "--steps must name at least one step"),
        ("--lr -1", "--lr must be above 0, but got '-1'$"),
        ("--lr x", "--lr must be a number, but got 'x'$"),
        ("--lr inf", "--lr must be a finite number, but got 'inf'$"),
        ("--epochs 1.5", "--epochs must be a whole number, but got '1.5'$"),
        ("--epochs 0", "--epochs must be at least 1, but got '0'$"),
        ("--optimizer adm", "--optimizer must be one of adam, sgd, muon, .*did you mean 'adam'?"),
        ("--model rsnet", "--model must be one of .*'rsnet'; did you mean 'resnet'?"),
        ("--model resnet --dense 5", "model resnet has no setting 'dense'; it has width, blocks$"),
        ("--model deep --width 64", "model deep has no setting 'width'; it has none$"),
        ("--metric nosuch", "--metric must be one of accuracy, .*, but got 'nosuch'$"),
        ("--metric macro-f1", "--metric must be one of .*; did you mean 'macro_f1'?$"),
        ("--executor nosuch", "--executor must be one of auto, inline, .*, but got 'nosuch'$"),
        ("--seeds 0", "--seeds must be a whole number from 1, .*, but got '0'$"),
        ("--processes 0", "--processes must be a whole number from 1, or auto, but got '0'$"),
        ("--margin 200", "--margin must be below 100, but got '200'$"),
        ("--augment flp", "--augment must be names of .*, but got 'flp'; did you mean 'flip'?$"),
        ("--protocol none", "--protocol must be one of holdout, notebook, but got 'none'$"),
        ("--device gpu", "--device must be one of auto, cpu, cuda, mps, but got 'gpu'"),
        ("--head-sizes 8,x", "--head-sizes must each be a whole number, but got 'x'$"),
        ("--head-dense -1", "--head-dense must be at least 0, but got '-1'$"),
        ("--finetune sme", "--finetune must be one of none, last, all, but got 'sme'$"),
        ("--finetune-lr 0", "--finetune-lr must be above 0, but got '0'$"),
        ("--finetune-augment flp", "--finetune-augment must be names .*; did you mean 'flip'?$"),
        ("--view-augment flp", "--view-augment must be names of .*; did you mean 'flip'?$"),
        ("--folds 1", "--folds must be at least 2, but got '1'$"),
        ("--minutes 0", "--minutes must be above 0, but got '0'$"),
        ("--minutes -1", "--minutes must be above 0, but got '-1'$"),
        ("--minutes soon", "--minutes must be a number, but got 'soon'$"),
        ("--width 1.5", "--width must be a whole number, but got '1.5'$"),
        ("--width 0", "--width must be at least 1, but got 0$"),
        ("--nosuch", "--nosuch"),
        ("--epoch 5", "Did you mean --epochs?"),
    ],
)
def test_a_value_is_refused_with_its_flag_and_its_rule(
    here: Path, capsys: pytest.CaptureFixture[str], flags: str, said: str
) -> None:
    line = refuse(capsys, "study", "digits", *flags.split()).strip()
    assert re.search(said.replace("?", "[?]"), line), line
    assert "input" not in line and "error" not in line.lower()
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("sizes", "needed"),
    [
        ("8", "at least two"),
        ("8,8", "differ"),
        ("0,8", "--sizes must each be at least 1"),
        ("8,x", "--sizes must each"),
    ],
)
def test_sizes(here: Path, capsys: pytest.CaptureFixture[str], sizes: str, needed: str) -> None:
    assert needed in refuse(capsys, "sweep", "digits", "--sizes", sizes, "--out", "s")


def test_out_with_foreign_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("years of work")
    assert "holds other files" in refuse(capsys, "inspect", "digits", "--out", "mine")
    assert [file.name for file in (here / "mine").iterdir()] == ["thesis.txt"]


def test_out_with_another_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "digits", "--out", "one"]) == 0
    capsys.readouterr()
    before = {file: file.read_bytes() for file in Path("one").rglob("*") if file.is_file()}
    said = refuse(capsys, "train", "digits", "--epochs", "1", "--out", "one")
    assert "holds other work" in said
    assert before == {file: file.read_bytes() for file in Path("one").rglob("*") if file.is_file()}


def test_out_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("in the way")
    assert "file" in refuse(capsys, "inspect", "digits", "--out", "file/below")
    assert "file" in refuse(capsys, "inspect", "digits", "--out", "file")


def write_cifar(folder: Path, records: int, tail: bytes = b"") -> Path:
    """Write a small copy in the binary layout."""
    root = folder / "cifar-10-batches-bin"
    root.mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 256, (records, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(records) % 10
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (root / name).write_bytes(rows.tobytes() + (tail if "data" in name else b""))
    return root


def test_truncated_cifar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cifar(here, 200, tail=b"cut")
    said = refuse(capsys, "inspect", "cifar10", "--data-dir", str(here))
    assert "data_batch_1.bin" in said


def test_altered_cifar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_cifar(here, 200)
    content = bytearray((root / "data_batch_1.bin").read_bytes())
    content[3073 * 7] = 77
    (root / "data_batch_1.bin").write_bytes(content)
    said = refuse(capsys, "inspect", "cifar10", "--data-dir", str(here))
    assert "data_batch_1.bin" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_device(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--device auto" in refuse(capsys, "study", "digits", "--device", "cuda")


def test_a_lack_of_memory_is_told_in_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dense layer of a terabyte."""
    assert main(["train", "digits", "--dense", "1000000000", "--epochs", "1"]) == 4
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("tellapart: the memory ran out (DefaultCPUAllocator: can't allocate")
    assert "smaller --batch-size" in said


def test_every_command_shows_an_example() -> None:
    for name in (name for name in app if not name.startswith("-") and name != "cache"):
        text = app[name].default_command.__doc__ or ""
        assert "Example: `tellapart " in text, name


def test_help_is_quick_to_load_and_needs_no_torch() -> None:
    code = (
        "import sys; from tellapart.cli import main; main(['--help']);"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "study" in done.stdout and done.stderr.strip() == "False"


def test_the_program_keeps_triton_from_being_loaded() -> None:
    code = (
        "import sys; sys.argv = ['tellapart', '--version']\n"
        "from tellapart.cli import run\n"
        "try: run()\n"
        "except SystemExit: print(sys.modules['triton'], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "None"


@contextmanager
def start_train(out: str, here: Path, epochs: int = 60) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tellapart", "train", "digits", "--epochs", str(epochs)]
    command += ["--out", out, "--device", "cpu"]
    with subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # where the test failed, it is not waited for


def wait_for_training(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until this process, and not one before it, trains."""
    status = folder / "status.json"
    while process.poll() is None and not (
        list(folder.glob("baseline/*/args.json"))
        and json.loads(status.read_text())["process"] == process.pid
    ):
        time.sleep(0.02)
    time.sleep(0.5)


def read_cell(folder: Path) -> dict[str, Any]:
    cell = next(folder.glob("baseline/*/record.json")).parent
    record: dict[str, Any] = json.loads((cell / "record.json").read_text())
    for row in (record, *record["history"]):
        del row["seconds"]
    del record["peak_memory_mb"], record["predict_seconds"]
    return record | {
        path.name: path.read_bytes() for path in (cell / "weights").glob("*.safetensors")
    }


@pytest.mark.slow
def test_signals_leave_with_code_3_and_the_same_command_goes_on(here: Path) -> None:
    with start_train("whole", here) as process:
        process.communicate()
        assert process.returncode == 0
    with start_train("stopped", here) as process:
        wait_for_training(process, here / "stopped")
        process.send_signal(signal.SIGUSR1)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "stopped by SIGUSR1; the same command goes on from here" in said
    assert json.loads((here / "stopped/status.json").read_text())["status"] == "stopped"
    assert not list((here / "stopped").glob("working.lock"))
    assert list((here / "stopped").glob("baseline/*/resume/*.safetensors"))
    with start_train("stopped", here) as process:
        process.communicate()
        assert process.returncode == 0
    assert read_cell(here / "stopped") == read_cell(here / "whole")
    assert not list((here / "stopped").glob("baseline/*/resume"))


def test_a_terminal_that_hangs_up_leaves_a_checkpoint(here: Path) -> None:
    """Nothing can be said any more, and that is no failure."""
    with start_train("out", here, 3000) as process:
        wait_for_training(process, here / "out")
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 3
    assert json.loads((here / "out/status.json").read_text())["status"] == "stopped"
    assert list((here / "out").glob("baseline/*/resume/*.safetensors"))


@pytest.mark.slow  # the lock has tests of its own
def test_the_second_process_on_a_folder_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_train("shared", here, 3000) as process:
        wait_for_training(process, here / "shared")
        arguments = ["train", "digits", "--epochs", "3000", "--out", "shared", "--device", "cpu"]
        said = refuse(capsys, *arguments)
        assert f"belongs to process {process.pid} on " in said
        assert json.loads((here / "shared/status.json").read_text()) == {
            "status": "running",
            "process": process.pid,
        }
        assert process.poll() is None
        process.kill()


def test_a_plan_is_said_and_nothing_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = "--finetune last --augment light --folds 3 --model resnet --metric macro_f1"
    flags = (*own.split(), "--steps", "conv,transfer", "--epochs", "1", "--plan")
    assert main(["study", "digits", *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("conv: sizes 16, 32, 64, 128, 256, 512, 1024; 3 seeds")
    assert "transfer: efficientnet-lite0 at 96" in said
    assert "ends after 15 min" in said
    assert list(here.iterdir()) == []
    assert main(["sweep", "digits", "--epochs", "1", "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert list(plan["steps"]) == ["conv", "model"] and plan["minutes"] == 15
    assert plan["steps"]["conv"]["seeds"] == 3
    assert list(here.iterdir()) == []


def test_speed_trains_and_is_tested(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--model", "speed", "--width", "4", "--epochs", "2", "--out", "out", "--json")
    assert main(["train", "digits", *flags]) == 0
    record = StudyRecord.model_validate_json(capsys.readouterr().out).steps["baseline"]
    assert isinstance(record, BaselineStep)
    assert record.model == "speed 4, 2 a group"
    assert record.test_score.low > 0.2
    assert record.run.settings["schedule"] == "linear"


def test_depth_and_schedule_can_be_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--model", "speed", "--width", "4", "--convs", "3", "--schedule", "cosine")
    assert main(["train", "digits", *flags, "--epochs", "1", "--out", "out", "--json"]) == 0
    record = StudyRecord.model_validate_json(capsys.readouterr().out).steps["baseline"]
    assert isinstance(record, BaselineStep)
    assert record.model == "speed 4, 3 a group"
    assert record.run.settings["schedule"] == "cosine"


def test_report_of_no_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refuse(capsys, "report", "nowhere")
    assert "nowhere holds no results.json" in said


@pytest.mark.parametrize("flag", [(), ("--out",), ("--data-dir",)])
def test_home_of_nobody(
    flag: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = "~nobody-of-that-name/x"
    data = {(): nobody, ("--out",): "digits", ("--data-dir",): "cifar10"}[flag]
    if flag == ("--out",):
        (here / "~nobody-of-that-name").write_text("a file where a folder should go")
    said = refuse(capsys, "inspect", data, *flag, *((nobody,) if flag else ()))
    assert "~nobody-of-that-name" in said


def test_minutes_that_are_too_few(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "digits", "--minutes", "0.01", "--out", "out"]) == 4
    said = capsys.readouterr().err
    assert re.search(r"--minutes must be at least 0\.\d for 8 steps on .*got 0.01", said)
    assert list(here.iterdir()) == []


def test_a_study_of_the_first_edition_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {"made by": "tellapart 0.1.0", "data": "digits", "steps": ["baseline"], "learn": None}
    for name, content in (("identity.json", old), ("results.json", {"version": "0.1.0"})):
        (here / "old").mkdir(exist_ok=True)
        (here / "old" / name).write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in (here / "old").iterdir()}
    for command in ("train digits --out old", "train digits --out old --plan"):
        assert "another version of tellapart" in refuse(capsys, *command.split())
    for command in ("report old", "history old", "compare old", "evaluate old"):
        assert "version" in refuse(capsys, *command.split())
    assert before == {path: path.read_bytes() for path in (here / "old").iterdir()}


def test_help_says_no_empty_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("study", "sweep", "transfer", "evaluate", "history", "fetch"):
        assert main([name, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "Example: tellapart" in said
        for empty in ("default: ()", "default: None", "default: False", 'default: ""', "('"):
            assert empty not in said, name


def test_the_notebook_takes_no_minutes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refuse(capsys, "study", "digits", "--protocol", "notebook", "--minutes", "5")
    assert "--protocol notebook" in said and "--minutes 5" in said
    assert list(here.iterdir()) == []


def test_compare_draws_the_models(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, wrong in (("a$b", 3), ("c", 30)):
        lines = [f"{i},{i % 2},{(i % 2) ^ (i < wrong)}" for i in range(60)]
        (here / f"{name}.csv").write_text("\n".join(["id,true,predicted", *lines]))
    assert main(["compare", "a$b.csv", "c.csv", "--plot", "models.svg"]) == 0
    assert "a$b is better than c" in capsys.readouterr().out
    assert (here / "models.svg").read_bytes().startswith(b"<?xml")
    assert "--plot must end in .png or .svg" in refuse(
        capsys, "compare", "a$b.csv", "c.csv", "--plot", "models.pdf"
    )
