"""Varied settings through the study and the command line, in this process and in several."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.data import load_images
from tellapart.plan import StudySettings, SweepSettings
from tellapart.records import GridRecord, StudyRecord
from tellapart.study import run_study
from tellapart.workspace import read_record

VARY = ("--vary", "dense=8,16", "--vary", "augment=none,shift")


def read_grid(folder: Path) -> GridRecord:
    grid = read_record(folder / "results.json", StudyRecord).grid
    assert grid is not None
    return grid


def test_two_settings_make_a_grid_with_a_heat_map(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    command = ["sweep", "digits", *VARY, "--epochs", "2", "--seeds", "2", "--out", str(folder)]
    assert main(command) == 0
    grid = read_grid(folder)
    assert grid.settings == {"dense": (8, 16), "augment": ("none", "shift")}
    assert [level.values for level in grid.levels] == [
        {"dense": dense, "augment": augment} for dense in (8, 16) for augment in ("none", "shift")
    ]
    assert all(len(level.figures.seeds) == 2 for level in grid.levels)
    assert grid.levels[0].figures.parameters < grid.levels[2].figures.parameters
    assert (folder / "grid" / "grid.png").is_file()
    assert "Settings" in (folder / "report.html").read_text()
    assert not (folder / "ledger.json").exists(), "test was looked at"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("grid/*/record.json")}
    assert main(command) == 0
    assert before == {p: p.stat().st_mtime_ns for p in folder.glob("grid/*/record.json")}


def test_several_processes_vary_settings_to_the_same_figures(tmp_path: Path) -> None:
    found = []
    for processes in (1, 2):
        sweep = SweepSettings(vary={"lr": (1e-3, 3e-3)}, seeds=2, processes=processes)
        settings = StudySettings(steps=(), epochs=2, sweep=sweep, device="cpu")
        folder = tmp_path / f"{processes}"
        run_study(load_images("digits"), settings, folder)
        found.append([level.figures.seeds for level in read_grid(folder).levels])
    assert found[0] == found[1]  # the tests compute with one thread


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--vary", "lr"], "write --vary lr=VALUE,VALUE"),
        (["--vary", "lr=1e-3"], "at least two values of lr"),
        (["--vary", "lr=1,2", "--sizes", "8,16"], "--sizes are those of --vary width or dense"),
        (["--vary", "width=8,16", "--sizes", "8,16"], "both name sizes"),
        (["--vary", "width=8,8"], "must differ"),
        (["--vary", "width=8"], "at least two sizes"),
        (["--vary", "val_acc=1,2"], "val_acc"),
        (["--vary", "dropout=0,0.5"], "settings of model simple"),
        (["--vary", "lr=1,2", "--protocol", "notebook"], "vary on val"),
    ],
)
def test_what_cannot_vary(
    flags: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "digits", *flags, "--out", "s"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error.splitlines()[-1]
    assert not (tmp_path / "s").exists()
