"""Labels: from the transfer's features, or from its own; what is too small is passed over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tellapart.cli import main
from tellapart.data import Dataset, load_images
from tellapart.records import LabelsPlan, LabelsStep
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.study.steps import labels as step
from tellapart.study.study import run_study
from tests.models.weights import save_weights


def ask(tmp_path: Path, *steps: str) -> StudySettings:
    own = TransferSettings(
        backbones=(save_weights(tmp_path / "w"),), heads="logistic", image_size=32
    )
    return StudySettings(steps=steps, transfer=own, compute=ComputeSettings(device="cpu"))


def test_the_transfers_features_are_taken(digits: Dataset, tmp_path: Path) -> None:
    record = run_study(digits, ask(tmp_path, "transfer", "labels"), tmp_path / "study")
    found = record.steps["labels"]
    assert isinstance(found, LabelsStep)
    assert (found.images, found.image_size, found.tested) == (1797, 32, 269)
    assert found.score.n == 1797 - 269 and found.score.value > 0.5
    assert found.bound is None or found.bound.high >= found.score.value
    assert len(record.ledger) == 1, "the transfer's own look at test, and no other"
    page = (tmp_path / "study" / "report.html").read_text("utf-8")
    assert "no score on them is kept" in page and "Labels that look wrong" in page


def test_classes_too_small_for_folds_are_passed_over(digits: Dataset, tmp_path: Path) -> None:
    rows = np.concatenate(
        [np.flatnonzero(digits.labels == label)[: 4 if label == 9 else 40] for label in range(10)]
    )
    roles = tuple(("train", "train", "val", "test")[row % 4] for row in range(len(rows)))
    few = replace(load_images((digits.source.read(rows), digits.labels[rows])), roles=roles)
    record = run_study(few, ask(tmp_path, "labels"), tmp_path / "study")
    found = record.steps["labels"]
    assert isinstance(found, LabelsStep) and found.images == 360
    assert found.unchecked[0] == "labels of 1 class with fewer than 5 pictures"


def test_inspect_looks_for_labels_and_ends_where_some_look_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    command = ["inspect", "digits", "--fail-on", "labels", "--out", str(out), "--backbone"]
    assert main([*command, save_weights(tmp_path / "w")]) == 2
    assert "labels that look wrong:" in capsys.readouterr().err
    assert (out / "labels" / "suspects.csv").read_text().startswith("file,row,hash,split,label,")


def test_where_time_is_short_cached_features_do(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.study.contexts import make_context

    settings = ask(tmp_path, "labels")
    context = make_context(digits, settings, tmp_path / "study")
    monkeypatch.setattr(step, "time_backbone", lambda *args: 1.0)
    assert step.plan_labels(context, float("inf")).every
    half = np.arange(0, 1797, 2)
    monkeypatch.setattr(step, "find_cached", lambda *args: half)
    plan = step.plan_labels(context, 60.0)
    assert not plan.every and plan.cut == ("images whose features the transfer did not compute",)
    record = step.run_labels(
        context, LabelsPlan(**json.loads(plan.model_dump_json())), context.deadline
    )
    assert record.images == len(half)
