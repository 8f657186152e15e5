"""Fine-tuning as a part of step 6: two tested models, a paired test, and what is shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tellapart.plan import StudySettings, TransferSettings

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset
from tellapart.models.tuned import TuneSettings
from tellapart.records import StudyRecord, TransferStep
from tellapart.study import run_study
from tellapart.study.evaluate import evaluate_run

TRANSFER = TransferSettings(
    head=HeadSettings(dense=16),
    kinds=("dense",),
    tune=TuneSettings(depth="last", epochs=1),
)
SETTINGS = StudySettings(steps=("transfer",), transfer=TRANSFER, epochs=2, device="cpu")


@pytest.fixture(scope="module")
def settings(small_backbone: str) -> StudySettings:
    transfer = TRANSFER.model_copy(update={"backbones": (small_backbone,)})
    return SETTINGS.model_copy(update={"transfer": transfer})


@pytest.fixture(scope="module")
def study(
    digits: Dataset, tmp_path_factory: pytest.TempPathFactory, settings: StudySettings
) -> tuple[StudyRecord, Path]:
    folder = tmp_path_factory.mktemp("tuning") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
        return run_study(digits, settings, folder), folder


def test_both_models_are_tested_and_compared(study: tuple[StudyRecord, Path]) -> None:
    record, folder = study
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    assert step.tuned is not None
    tuned = step.tuned
    assert [entry.purpose for entry in record.ledger] == [
        "final model of step transfer",
        "fine-tuned model of step transfer",
    ]
    assert len(tuned.run.history) == 1
    assert tuned.frozen.folder == step.backbones[0].run.folder
    comparison = tuned.comparison
    gain = tuned.accuracy.value - tuned.frozen_accuracy.value
    assert comparison.difference == pytest.approx(gain)
    assert comparison.n == tuned.accuracy.n
    better = tuned.run.val_accuracy.value > tuned.frozen.val_accuracy.value
    assert tuned.kept == better
    assert step.run == (tuned.run if better else tuned.frozen)
    assert step.test_accuracy == (tuned.accuracy if better else tuned.frozen_accuracy)
    assert tuned.expected_seconds > 0
    assert comparison.sentence in step.answer
    assert "Frozen or fine-tuned" in (folder / "report.html").read_text("utf-8")


def test_started_again_nothing_is_done_twice(
    study: tuple[StudyRecord, Path],
    digits: Dataset,
    settings: StudySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, folder = study
    monkeypatch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
    files = {p: p.stat().st_mtime_ns for p in (folder / "transfer").rglob("*.safetensors")}
    (folder / "transfer" / "record.json").unlink()
    again = run_study(digits, settings, folder)
    measured: dict[str, Any] = {"seconds": True, "peak_memory_mb": True}
    measured |= {"backbones": {0: {"images_computed"}}}
    before, after = (one.steps["transfer"].model_dump(exclude=measured) for one in (record, again))
    assert after == before
    assert again.ledger == record.ledger
    assert {p: p.stat().st_mtime_ns for p in (folder / "transfer").rglob("*.safetensors")} == files


def test_it_can_be_looked_at_again(
    study: tuple[StudyRecord, Path],
    digits: Dataset,
    small_backbone: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, folder = study
    monkeypatch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    found = evaluate_run(digits, folder / "transfer", "val", "cpu", small_backbone)
    assert found.models[0].accuracy == step.val_accuracy
