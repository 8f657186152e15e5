"""What a training shows while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tellapart.plan import StudySettings
from tellapart.study.reporter import SilentReporter

from tellapart.config import RecipeSettings
from tellapart.data import load_images
from tellapart.models import SimpleSettings
from tellapart.study import reporter as module
from tellapart.study import run_study


class Kept(SilentReporter):
    """Keeps what is shown of epochs."""

    def __init__(self) -> None:
        self.done: list[tuple[float, str]] = []
        self.skipped: list[str] = []

    def advance(self, units: float, text: str) -> None:
        self.done.append((units, text))

    def skip(self, units: float, text: str) -> None:
        self.skipped.append(text)


def train(folder: Path, epochs: int, patience: int = 0) -> Kept:
    kept = Kept()
    settings = StudySettings(
        steps=("baseline",),
        epochs=epochs,
        model=SimpleSettings(width=4, dense=8),
        recipe=RecipeSettings(patience=patience, lr=1e-9, schedule="constant"),
        device="cpu",
    )
    run_study(load_images("digits"), settings, folder, kept)
    return kept


def test_a_training_to_its_end_does_not_say_that_nothing_better_came(tmp_path: Path) -> None:
    kept = train(tmp_path / "whole", 2)
    assert kept.skipped == []
    assert [units for units, _ in kept.done] == [1, 1]
    kept = train(tmp_path / "short", 9, patience=1)
    assert kept.skipped == ["simple: nothing better came"]


def test_batches_of_a_long_epoch_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OFTEN", 0.0)
    kept = train(tmp_path / "s", 1)
    assert len(kept.done) > 5
    assert sum(units for units, _ in kept.done) == pytest.approx(1)
    assert kept.done[0][1].startswith("simple: epoch 1, ") and "% of it" in kept.done[0][1]
    assert "accuracy" in kept.done[-1][1]
