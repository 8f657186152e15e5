"""Heads of step 6 beyond the chosen one: a sweep over their size, and cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import SettingError
from tellapart.plan import StudySettings, SweepSettings, TransferSettings
from tellapart.records import StudyRecord, TransferStep
from tellapart.study import folds as module
from tellapart.study import run_study

TRANSFER = TransferSettings(
    head=HeadSettings(dense=16),
    kinds=("logistic",),
    head_sizes=(4, 32),
    folds=3,
    image_size=32,
)
SETTINGS = StudySettings(
    steps=("transfer",),
    transfer=TRANSFER,
    sweep=SweepSettings(seeds=2),
    epochs=2,
    device="cpu",
)


@pytest.fixture(scope="module")
def settings(small_backbone: str) -> StudySettings:
    transfer = TRANSFER.model_copy(update={"backbones": (small_backbone,)})
    return SETTINGS.model_copy(update={"transfer": transfer})


@pytest.fixture(scope="module")
def study(
    digits: Dataset, tmp_path_factory: pytest.TempPathFactory, settings: StudySettings
) -> tuple[StudyRecord, Path]:
    folder = tmp_path_factory.mktemp("heads") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
        return run_study(digits, settings, folder), folder


def find_step(record: StudyRecord) -> TransferStep:
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    return step


def test_sizes_of_the_dense_head_come_to_a_verdict(study: tuple[StudyRecord, Path]) -> None:
    record, folder = study
    swept = find_step(record).head_sweep
    assert swept is not None
    assert [row.size for row in swept.sizes] == [4, 32]
    assert all(len(row.seeds) == 2 for row in swept.sizes)
    assert swept.verdict.sentence in (folder / "report.html").read_text("utf-8")


def test_backbones_are_cross_validated_on_all_that_is_not_test(
    study: tuple[StudyRecord, Path], digits: Dataset
) -> None:
    record, folder = study
    found = find_step(record).folds
    assert found is not None
    tested = find_step(record).test_accuracy.n
    assert (found.count, found.images) == (3, len(digits) - tested)
    (row,) = found.backbones
    assert row.name == "small"
    assert row.accuracy.n == found.images
    assert row.accuracy.value == pytest.approx(np.mean(row.parts), abs=0.01)
    assert row.accuracy.value > 0.5
    assert found.comparisons == ()
    assert "in 3 folds of the 1,5" in (folder / "report.html").read_text("utf-8")


def test_started_again_nothing_is_fitted_twice(
    study: tuple[StudyRecord, Path],
    digits: Dataset,
    settings: StudySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, folder = study
    monkeypatch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
    (folder / "transfer" / "record.json").unlink()

    def refuse(*args: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(module, "cross_validate", refuse)
    again = find_step(run_study(digits, settings, folder))
    assert again.folds == find_step(record).folds
    assert again.head_sweep == find_step(record).head_sweep


def test_sizes_that_repeat_are_refused(digits: Dataset, tmp_path: Path) -> None:
    transfer = TRANSFER.model_copy(update={"head_sizes": (4, 4)})
    settings = SETTINGS.model_copy(update={"transfer": transfer})
    with pytest.raises(SettingError, match="4"):
        run_study(digits, settings, tmp_path / "study")
    assert not (tmp_path / "study").exists()
