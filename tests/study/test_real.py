"""Real images, minutes each: run by make test-slow, skipped loudly without the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tellapart.cli import main

SHARED = Path(__file__).parents[3] / "shared"
BACKBONE = SHARED / "weights" / "mobilenetv2_100.keras_in1k"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real data: {SHARED.name} is absent"),
]


def run(tmp_path: Path, *arguments: str) -> dict[str, dict[str, dict[str, float]]]:
    """Run a command; return the steps of its results."""
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    steps = json.loads((tmp_path / "out" / "results.json").read_text())["steps"]
    assert isinstance(steps, dict)
    return steps


def test_baseline_of_cifar10(tmp_path: Path) -> None:
    steps = run(tmp_path, "train", "cifar10", "--data-dir", str(SHARED / "data"))
    assert steps["baseline"]["test_score"]["value"] >= 0.59


def test_transfer_of_cifar10_in_bounded_memory(tmp_path: Path) -> None:
    backbone = f"local-dir:{BACKBONE}"
    data = ("cifar10", "--data-dir", str(SHARED / "data"))
    steps = run(tmp_path, "transfer", *data, "--backbone", backbone)
    assert steps["transfer"]["test_score"]["value"] >= 0.85
    assert float(str(steps["transfer"]["peak_memory_mb"])) < 3000


def test_transfer_of_trashnet_beats_its_baseline(tmp_path: Path) -> None:
    data = str(SHARED / "data" / "trashnet")
    flags = ("--steps", "inspect,baseline,transfer", "--backbone", f"local-dir:{BACKBONE}")
    steps = run(tmp_path, "study", data, *flags)
    baseline, transfer = (steps[name]["test_score"] for name in ("baseline", "transfer"))
    assert transfer["low"] > baseline["high"]
