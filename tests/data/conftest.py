"""Makers of small data for the tests of the readers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not (REAL / "cifar-10-batches-bin").is_dir():
        pytest.skip("the folder ../shared/data beside the repository is absent: no real images")
    return REAL


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write a noise image whose content follows from ``seed``."""

    def write(
        path: Path, seed: int = 0, size: tuple[int, int] = (12, 10), mode: str = "RGB"
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        image = Image.fromarray(noise).convert(mode)
        image.save(path)
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Classes 1, 2 and 10, four images each, 24 x 20."""
    root = tmp_path / "My Images!"
    for number, name in enumerate(("1", "2", "10")):
        for image in range(4):
            write_image(root / name / f"{image}.png", 10 * number + image, (24, 20))
    return root


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user whom permissions bind; root becomes another one meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
            for folder in Path(name).iterdir():
                folder.chmod(0o700)
