"""What all tests share: one thread, the embedded digits, and a cache of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

from tellapart.data.dataset import ArraySource, Dataset
from tellapart.data.digits import load_digits
from tellapart.data.split import Split, make_split

# The networks here are tiny: two threads spend their time waiting for each other, most of all
# where the machine is busy. Read by torch when it is first imported, here and in child processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts a time, on a busy machine least of all.
hypothesis.settings.register_profile("tellapart", deadline=None)
hypothesis.settings.load_profile("tellapart")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TELLAPART_DATA", raising=False)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_digits()


@pytest.fixture(scope="session")
def digits_split(digits: Dataset) -> Split:
    return make_split(digits)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run have; whoever fills a part of it locks it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def small_backbone(shared: Path) -> str:
    """The name of a backbone of random weights: what the transfer does with it takes a second."""
    from tests.models.weights import save_weights  # here, for it loads torch

    folder = shared / "weights" / "small"
    with FileLock(shared / "weights.lock"):
        return f"local-dir:{folder}" if folder.is_dir() else save_weights(folder)


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """Make a dataset of labels, hashes and roles; the pixels are the row numbers."""

    def make(
        labels: Sequence[int],
        hashes: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
    ) -> Dataset:
        count = len(labels)
        pixels = np.arange(count * 3, dtype=np.int64).astype(np.uint8).reshape(count, 1, 1, 3)
        return Dataset(
            name="made",
            origin="made",
            classes=tuple(f"class {number}" for number in range(max(labels) + 1)),
            labels=np.array(labels, np.int64),
            source=ArraySource(pixels),
            hashes=tuple(hashes or (f"{row:024x}" for row in range(count))),
            roles=tuple(roles or [""] * count),
            image_size=1,
            size_reason="",
            channels=3,
            sizes={},
            modes={},
        )

    return make
