"""Features of a frozen backbone: computed once for each image, whatever happens in between."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from tellapart.data import load_images
from tellapart.data.dataset import ArraySource, Dataset
from tellapart.errors import BackboneError, DataError, Interrupted, WorkspaceError
from tellapart.models.backbone import PixelBackbone
from tellapart.stop import ask_stop, clear_stop
from tellapart.transfer import features as module
from tellapart.transfer import store
from tellapart.transfer.features import (
    LEAST,
    TIMED,
    Features,
    extract_features,
    time_backbone,
)
from tellapart.transfer.resources import Resources
from tellapart.transfer.store import KEY, list_shards
from tellapart.transfer.views import PLAIN, View

from .backbones import FEATURES, make_tiny

FLIPPED = View(1, "flip+shift")


@dataclasses.dataclass(frozen=True)
class Kept:
    cache: Path
    features: Features
    shown: list[tuple[int, int]]


def find_shards(tmp_path: Path) -> list[Path]:
    return [
        path
        for folder in sorted((tmp_path / "cache" / "features").glob("*"))
        for path in list_shards(folder)
    ]


def extract(images: Dataset, seed: int = 0, view: View = PLAIN) -> Features:
    return extract_features(images, make_tiny(seed), Resources("cpu"), view=view)


def take(images: Dataset, rows: NDArray[np.int64]) -> Dataset:
    """Return a dataset of some of the images, in that order."""
    assert isinstance(images.source, ArraySource)
    return dataclasses.replace(
        images,
        source=ArraySource(images.source.pixels[rows]),
        hashes=tuple(images.hashes[row] for row in rows),
        labels=images.labels[rows],
        roles=tuple(images.roles[row] for row in rows),
    )


def read_all(features: Features) -> NDArray[np.float16]:
    return features.vectors[np.arange(features.vectors.shape[0])]


def find_cosines(first: NDArray[np.float16], second: NDArray[np.float16]) -> NDArray[np.float64]:
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(1) / lengths
    return cosines


@pytest.fixture(scope="module")
def kept(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The features of the digits, extracted once into a cache that tests copy."""
    cache = tmp_path_factory.mktemp("kept")
    shown: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(cache))
        found = extract_features(
            digits, make_tiny(), Resources("cpu"), lambda done, total: shown.append((done, total))
        )
    return Kept(cache, found, shown)


@pytest.fixture
def shards(kept: Kept, tmp_path: Path) -> list[Path]:
    shutil.copytree(kept.cache, tmp_path / "cache")
    return find_shards(tmp_path)


def test_features_are_computed_once(kept: Kept, shards: list[Path], digits: Dataset) -> None:
    assert kept.features.computed == len(digits)
    assert kept.features.seconds > 0
    done = [number for number, _ in kept.shown]
    assert (*done[:2], done[-1]) == (0, LEAST, len(digits))
    assert done == sorted(done) and len(shards) == len(done) - 1
    again = extract(digits)
    assert (again.computed, again.seconds) == (0, 0)
    assert np.array_equal(read_all(kept.features), read_all(again))


def test_a_stop_is_heard_between_batches_and_finished_shards_are_kept(
    digits: Dataset, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            ask_stop()

    with pytest.raises(Interrupted):
        extract_features(digits, make_tiny(), Resources("cpu"), stop)
    clear_stop()
    assert len(find_shards(tmp_path)) == 1
    assert extract(digits).computed == len(digits) - LEAST


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rename_an_image(path: Path) -> None:
    """Let a row belong to another image."""
    content = path.read_bytes()
    place = content.index(b'"hashes":"') + 10
    other = b"0" if content[place : place + 1] != b"0" else b"1"
    path.write_bytes(content[:place] + other + content[place + 1 :])


@pytest.mark.parametrize("damage", [Path.unlink, flip_a_byte, cut, empty, rename_an_image])
def test_only_a_damaged_shard_is_computed_again(
    damage: Callable[[Path], None],
    kept: Kept,
    shards: list[Path],
    digits: Dataset,
    tmp_path: Path,
) -> None:
    largest = max(shards, key=lambda path: path.stat().st_size)
    others = {path: path.read_bytes() for path in shards if path != largest}
    damage(largest)
    again = extract(digits)
    assert 0 < again.computed < len(digits)
    assert find_cosines(read_all(kept.features), read_all(again)).min() > 0.999
    assert {path: path.read_bytes() for path in others} == others
    assert extract(digits).computed == 0


def test_other_weights_and_views_have_features_of_their_own(
    kept: Kept, shards: list[Path], digits: Dataset
) -> None:
    for other in (extract(digits, seed=1), extract(digits, view=FLIPPED)):
        assert other.computed == len(digits)
        assert not np.array_equal(read_all(kept.features), read_all(other))


@pytest.mark.parametrize("what", ["decoder", "size"])
def test_what_makes_other_numbers_makes_another_set(
    what: str, shards: list[Path], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_tiny()
    if what == "decoder":
        monkeypatch.setattr(module, "name_decoder", lambda: "pillow 0")
    else:
        backbone.network.size = 24
    assert extract_features(digits, backbone, Resources("cpu")).computed == len(digits)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.sets(st.integers(0, 299), max_size=80),
    after=st.lists(st.integers(0, 299), min_size=1, max_size=80),
)
def test_images_that_are_there_are_not_computed_again(
    before: set[int], after: list[int], digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was there, in whatever order images come, however often each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(tmp_path_factory.mktemp("sets")))
        first = {digits.hashes[row] for row in before}
        if before:
            assert extract(take(digits, np.array(sorted(before)))).computed == len(first)
        found = extract(take(digits, np.array(after)))
        wanted = {digits.hashes[row] for row in after}
        assert found.computed == len(wanted - first)
        assert found.vectors.shape[0] == len(after)
    patch.undo()
    alone = extract(take(digits, np.array(sorted(set(after)))))
    places = {row: place for place, row in enumerate(sorted(set(after)))}
    expected = alone.vectors[np.array([places[row] for row in after])]
    assert find_cosines(read_all(found), expected).min() > 0.999


def test_rows_are_taken_in_the_order_that_was_asked(kept: Kept, shards: list[Path]) -> None:
    rows = np.array([900, 3, 3, 1200, 64, 63])
    whole = read_all(kept.features)
    assert np.array_equal(kept.features.vectors[rows], whole[rows])
    assert kept.features.vectors[np.array([], np.int64)].shape == (0, whole.shape[1])


def test_a_cache_that_cannot_be_written_is_said_by_name_before_any_work(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file where a folder should go")
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "file"))
    unread = dataclasses.replace(digits, source=ArraySource(np.empty((0, 1, 1, 1), np.uint8)))
    with pytest.raises(
        WorkspaceError, match=r"cache of features must be readable and writable.*TELLAPART_CACHE"
    ):
        extract(unread)


def test_a_disk_that_fills_up_is_said_of_the_cache(tmp_path: Path) -> None:
    kept = store.FeatureStore(tmp_path / "set", 1, {})
    (tmp_path / "set").write_text("a file where a folder should go")
    with pytest.raises(
        WorkspaceError, match=r"cache of features must be readable and writable.*/set is not"
    ):
        kept.add(["0" * 24], np.ones((1, 1), np.float16))


class Overflowing(nn.Module):
    """Features that half precision cannot hold, of white images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) * 1e5


def test_features_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), "white" if number == 6 else (number, 0, 0)).save(path)
    images = load_images(tmp_path / "photos", memory_limit=0)
    pixel = PixelBackbone(Overflowing(), 16, [0.0] * 3, [1.0] * 3).eval()
    backbone = dataclasses.replace(make_tiny(), network=pixel, features=3)
    with pytest.raises(BackboneError, match=r"hub/tiny:one gives others for 1 of 12.*a/06\.png"):
        extract_features(images, backbone, Resources("cpu"))
    assert not find_shards(tmp_path)


def test_features_are_those_of_the_hash(tmp_path: Path) -> None:
    """A file that was other while features were computed leaves none under its own hash."""
    draw = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path)
    images = load_images(tmp_path / "photos", memory_limit=0)
    Image.new("RGB", (16, 16), "white").save(tmp_path / "photos" / "a" / "00.png")
    with pytest.raises(DataError, match=r"00\.png"):
        extract(images)
    assert not find_shards(tmp_path)


def test_a_set_of_another_version_is_not_read(shards: list[Path], digits: Dataset) -> None:
    assert KEY in {path.name for path in shards[0].parent.iterdir()}
    before = store.FORMAT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FORMAT", before + 1)
        assert extract(take(digits, np.arange(10))).computed == 10


class Untraceable(nn.Module):
    """What a converter cannot follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # not in stubs
            raise RuntimeError("not to be traced")
        return images.mean((2, 3))


def test_what_openvino_cannot_compile_runs_in_torch_and_is_kept(digits: Dataset) -> None:
    pixel = PixelBackbone(Untraceable(), 16, [0.5] * 3, [0.25] * 3).eval()
    odd = dataclasses.replace(make_tiny(), network=pixel, features=3, key="odd")
    shown: list[tuple[int, int]] = []
    found = extract_features(digits, odd, Resources("cpu"), lambda *both: shown.append(both))
    assert found.engine.startswith("torch ")
    assert (found.computed, shown[0]) == (len(digits), (0, len(digits)))
    again = extract_features(digits, odd, Resources("cpu"))
    assert (again.computed, again.engine) == (0, found.engine)
    assert np.array_equal(read_all(found), read_all(again))


def test_a_backbone_is_timed_on_a_few_images_that_are_kept(digits: Dataset) -> None:
    rows = np.arange(200, 700)
    pace = time_backbone(digits, make_tiny(), rows, Resources("cpu"))
    assert pace > 0
    found = extract_features(digits, make_tiny(), Resources("cpu"), rows=rows)
    missing = len({digits.hashes[row] for row in rows.tolist()}) - found.computed
    assert missing in TIMED
    assert time_backbone(digits, make_tiny(), rows, Resources("cpu")) == 0
    half = time_backbone(digits, make_tiny(), np.arange(450, 950), Resources("cpu"))
    assert half > 0, "some of them are there"


def test_rows_alone_are_computed(digits: Dataset) -> None:
    rows = np.array([7, 3, 11])
    found = extract_features(digits, make_tiny(), Resources("cpu"), rows=rows)
    assert (found.computed, found.vectors.shape) == (3, (3, FEATURES))
    whole = extract(digits)
    assert whole.computed == len(set(digits.hashes)) - 3
    assert np.array_equal(read_all(found), whole.vectors[rows])
