"""One finished study of all steps, which most tests here look at; each copies what it changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tellapart.config import HeadSettings, TuneSettings
from tellapart.data.dataset import Dataset
from tellapart.lock import LOCK
from tellapart.records import StudyRecord
from tellapart.study.settings import (
    ComputeSettings,
    SearchSettings,
    StudySettings,
    SweepSettings,
    TransferSettings,
)
from tellapart.study.study import run_study
from tellapart.workspace import read_record

TRANSFER = TransferSettings(
    head=HeadSettings(dense=16),
    head_sizes=(4, 32),
    folds=3,
    image_size=32,
    tune=TuneSettings(depth="last", epochs=1),
)
SETTINGS = StudySettings(
    epochs=1,
    search=SearchSettings(trials=2),
    sweep=SweepSettings(seeds="2", sizes={"conv": (4, 8), "dense": (8, 16)}),
    compute=ComputeSettings(device="cpu", processes="1"),
)


def make_settings(backbone: str) -> StudySettings:
    """Return the settings of a small study of all that steps can do, with a backbone."""
    transfer = TRANSFER.model_copy(update={"backbones": (backbone,)})
    return SETTINGS.model_copy(update={"transfer": transfer})


@pytest.fixture(scope="session")
def settings(small_backbone: str) -> StudySettings:
    return make_settings(small_backbone)


@pytest.fixture(scope="session")
def whole(shared: Path, digits: Dataset, settings: StudySettings) -> tuple[StudyRecord, Path]:
    """A finished small study, made by the first process that needs it. Nobody writes there."""
    folder = shared / "whole" / "study"
    with FileLock(shared / "whole.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
        if not (folder.parent / "done").is_file():
            run_study(digits, settings, folder, command="tellapart study digits")
            (folder.parent / "done").touch()
    return read_record(folder / "results.json", StudyRecord), folder


@pytest.fixture
def finished(whole: tuple[StudyRecord, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the finished study, with the features that it kept."""
    monkeypatch.setenv("TELLAPART_CACHE", str(whole[1].parent / "cache"))
    return whole[1]


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, without the lock of another process that reads it now."""
    without = shutil.ignore_patterns(LOCK)
    return Path(shutil.copytree(finished, tmp_path / "study", ignore=without))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """A folder with trainings of one network with two seeds: train-0 and train-1."""
    folder = tmp_path_factory.mktemp("trained")
    for seed in (0, 1):
        settings = StudySettings(
            epochs=3, seed=seed, steps=("baseline",), compute=ComputeSettings(device="cpu")
        )
        run_study(digits, settings, folder / f"train-{seed}")
    return folder
