"""Heads beyond the chosen one: a sweep over their size, and cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tellapart.data.dataset import Dataset
from tellapart.records import StudyRecord, TransferStep
from tellapart.study import heads as module
from tellapart.study.settings import StudySettings
from tellapart.study.study import run_study


def find_step(record: StudyRecord) -> TransferStep:
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    return step


def test_sizes_of_the_dense_head_are_ranked(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    swept = find_step(record).head_sweep
    assert swept is not None
    assert [row.size for row in swept.sizes] == [4, 32]
    assert all(len(row.seeds) == 2 for row in swept.sizes)
    page = (folder / "report.html").read_text("utf-8").replace("\u00a0", " ")
    assert "In resamples of seeds and images the choice was" in page


def test_backbones_are_cross_validated_on_all_that_is_not_test(
    whole: tuple[StudyRecord, Path], digits: Dataset
) -> None:
    record, folder = whole
    found = find_step(record).folds
    assert found is not None
    tested = find_step(record).test_score.n
    assert (found.count, found.images) == (3, len(digits) - tested)
    (row,) = found.backbones
    assert row.name == "small"
    assert row.score.n == found.images
    assert row.score.value == pytest.approx(np.mean(row.parts), abs=0.01)
    assert row.score.value > 0.5
    assert found.comparisons == ()
    assert "in 3 folds of the 1,5" in (folder / "report.html").read_text("utf-8")


def test_both_kinds_of_head_are_fitted_and_the_better_is_taken(
    whole: tuple[StudyRecord, Path],
) -> None:
    step = find_step(whole[0])
    (backbone,) = step.backbones
    assert [head.kind for head in backbone.heads] == ["logistic", "dense"]
    best = max(backbone.heads, key=lambda head: head.val_score.value)
    assert backbone.run.folder == best.run and backbone.val_score == best.val_score


def test_started_again_nothing_is_fitted_or_tuned_twice(
    study: Path,
    whole: tuple[StudyRecord, Path],
    digits: Dataset,
    settings: StudySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (study / "transfer" / "record.json").unlink()

    def refuse(*args: object) -> None:
        raise AssertionError("done again")

    for name in ("cross_validate", "fit_head", "fit_logistic", "fit_network"):
        monkeypatch.setattr(module, name, refuse)
    measured = {"given", "seconds", "peak_memory_mb", "backbones"}
    again = run_study(digits, settings, study)
    before, after = (find_step(one).model_dump(exclude=measured) for one in (whole[0], again))
    assert after == before
    assert again.ledger == whole[0].ledger
