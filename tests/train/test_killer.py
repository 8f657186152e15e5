"""Any kill at any moment: the newest checkpoint loads, and the run ends bit-equal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each start is a fork")
@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_times_change_nothing(kills: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.train.killer", str(tmp_path), str(kills), "0"]
    own = os.environ | {"CUDA_VISIBLE_DEVICES": ""}  # what uses a GPU cannot fork
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{kills} kills")
