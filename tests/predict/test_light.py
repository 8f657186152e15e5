"""An exported model in an install of what ``tellapart[predict]`` has, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tellapart.predict.export import export_model

ROOT = Path(__file__).resolve().parents[2]
MOST = 250e6
"""Bytes that the install may take."""


def measure(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_small_install_classifies(handed: Path, photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "light"
    venv.create(place, with_pip=True)
    before = measure(place)
    install: list[str | Path] = [
        place / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        f"{ROOT}[predict]",
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the packages cannot be had here: {done.stderr.strip()[-200:]}")
    size = measure(place) - before
    assert size < MOST, f"{size / 1e6:.0f} MB"
    assert not list(place.glob("lib/*/site-packages/torch"))
    (path,) = export_model(handed, out=tmp_path / "a.onnx").paths
    told = [str(photos), "--error", "0.2"]
    command: list[str | Path] = [place / "bin/tellapart", "predict", path, *told]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    here: list[str | Path] = [
        sys.executable,
        "-m",
        "tellapart",
        "predict",
        handed,
        photos,
        "--error",
        "0.2",
    ]
    own = subprocess.run(here, capture_output=True, text=True, check=True).stdout
    assert "12 images: " in said
    assert said == own.replace("  (unlike the training images)", "")
    refused = subprocess.run(
        [place / "bin/tellapart", "study", "digits"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "pip install 'tellapart[study]'" in refused.stderr
    print(f"{size / 1e6:.0f} MB")
