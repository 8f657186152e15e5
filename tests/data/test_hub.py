"""The hub's datasets, from its own cache: a folder as its library leaves it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.data import fetch_data, load_images
from tellapart.errors import DataError

pyarrow = pytest.importorskip("pyarrow")


def encode(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 8, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(path: Path, seeds: range) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"image": {"bytes": encode(seed), "path": None}, "label": seed % 2} for seed in seeds]
    pq.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a dataset somebody/things was fetched to, in a cache of its own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    root = tmp_path / "datasets--somebody--things"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0" * 40)
    folder = root / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    return folder


def test_a_fetched_dataset_is_read(snapshot: Path) -> None:
    write_parquet(snapshot / "data" / "train-00000-of-00002.parquet", range(6))
    write_parquet(snapshot / "data" / "train-00001-of-00002.parquet", range(6, 12))
    write_parquet(snapshot / "data" / "test-00000-of-00001.parquet", range(12, 16))
    dataset = load_images("hf:somebody/things")
    assert dataset.name == "somebody-things" and dataset.classes == ("0", "1")
    assert dataset.roles.count("train") == 12 and dataset.roles.count("test") == 4
    assert fetch_data("hf:somebody/things") == snapshot


def test_subsets_are_asked_for(snapshot: Path) -> None:
    for name in ("large", "small"):
        write_parquet(snapshot / name / "train-00000-of-00001.parquet", range(8))
    with pytest.raises(
        DataError, match="must be one of hf:somebody/things/large, hf:somebody/things/small"
    ):
        load_images("hf:somebody/things")
    assert len(load_images("hf:somebody/things/small")) == 8


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize("name", ["hf:nobody/none", "hf:somebody/things"])
def test_what_is_not_there_is_said_with_the_remedy(name: str) -> None:
    with pytest.raises(DataError, match=f"not in the hub's cache .* 'tellapart fetch {name}'"):
        load_images(name)


@pytest.mark.parametrize("name", ["hf:", "hf:one", "hf:a/b/c/d", "hf:../x", "hf:a b/c"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="must be hf:OWNER/NAME"):
        load_images(name)
