"""Varied settings through the study and the command line, in this process and in several."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.data.dataset import Dataset
from tellapart.errors import SettingError
from tellapart.models import ResnetSettings
from tellapart.records import StudyRecord, VaryStep
from tellapart.study.settings import StudySettings, SweepSettings
from tellapart.study.steps.vary import list_levels, make_level, plan_vary
from tellapart.workspace import read_record
from tests.study.contexts import make_context

VARY = ("--vary", "dense=8,16", "--vary", "augment=none,shift")


def read_grid(folder: Path) -> VaryStep:
    step = read_record(folder / "results.json", StudyRecord).steps["vary"]
    assert isinstance(step, VaryStep)
    return step


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
    assert (folder / "vary" / "levels.png").is_file()
    assert "Settings" in (folder / "report.html").read_text()
    assert not (folder / "ledger.json").exists(), "test was looked at"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("vary/*/record.json")}
    assert main(command) == 0
    assert before == {p: p.stat().st_mtime_ns for p in folder.glob("vary/*/record.json")}


def test_a_level_has_its_settings_and_what_follows_from_them() -> None:
    settings = StudySettings(model=ResnetSettings(width=8))
    model, recipe = make_level(settings, 1000, {"blocks": 2, "optimizer": "sgd"}, 3, 5)
    assert model == ResnetSettings(width=8, blocks=2)
    assert (recipe.optimizer, recipe.lr, recipe.epochs, recipe.seed) == ("sgd", 0.05, 5, 3)
    _, recipe = make_level(settings, 1000, {"epochs": 7, "label_smoothing": 0.2}, 0, 5)
    assert (recipe.epochs, recipe.label_smoothing) == (7, 0.2)
    with pytest.raises(SettingError, match="muon has no weight_decay"):
        make_level(settings, 1000, {"weight_decay": 0.1}, 0, 5)


def test_levels_stay_where_time_is_short(tmp_path: Path, digits: Dataset) -> None:
    settings = StudySettings(
        steps=("vary",), sweep=SweepSettings(vary={"dense": (8, 16), "lr": (0.1, 0.01)})
    )
    context = make_context(digits, settings, tmp_path)
    wished, short = plan_vary(context, 1e9), plan_vary(context, 50.0)
    assert wished.sizes == short.sizes == (0, 1, 2, 3) and not wished.cut
    assert (wished.epochs, wished.seeds) == (20, 3)
    assert short.epochs < wished.epochs and short.seeds == 2 and short.cut
    assert wished.text.startswith("4 levels; 3 seeds (up to 10 where they decide) of 20 epochs")


def test_three_settings_are_too_many() -> None:
    with pytest.raises(SettingError, match="one or two settings can vary at a time, but got 3"):
        list_levels({"lr": (1, 2), "dense": (1, 2), "width": (1, 2)})


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
        (["--vary", "dropout=0,0.5"], "needs settings of model simple or its training"),
        (["--vary", "lr=1,x"], "--vary lr must be a number, but got 'x'"),
        (["--vary", "optimizer=adam,adm"], "got 'adm'; did you mean 'adam'?"),
        (["--vary", "lr=1,2", "--vary", "lr=3,4"], "names each setting once"),
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
