"""Copies that are not equal to the byte: planted, found, and kept on one side."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tellapart.data import load_images
from tellapart.data.copies import find_copies, recall_copies
from tellapart.data.dataset import ArraySource, Dataset, hash_pixels
from tellapart.data.split import make_split

Pixels = NDArray[np.uint8]


def encode_jpeg(image: Pixels) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


def resize(image: Pixels) -> Pixels:
    small = Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((32, 32), Image.Resampling.BILINEAR))


KINDS: dict[str, Callable[[Pixels], Pixels]] = {
    "jpeg": encode_jpeg,
    "resized": resize,
    "mirrored": lambda image: image[:, ::-1],
    "shifted": lambda image: np.concatenate([image[:, :1], image[:, :-1]], 1),
    "brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
}


def make_scenes(count: int, seed: int = 0) -> Pixels:
    """Return pictures whose finer shades are the weaker, as in photographs; colours are coarse."""
    rng, whole = np.random.default_rng(seed), np.zeros((count, 32, 32, 3))
    for side, weight, channels in ((4, 40, 1), (8, 30, 1), (16, 15, 1), (4, 25, 3)):
        noise = rng.standard_normal((count, side, side, channels))
        whole += weight * ndimage.zoom(noise, (1, 32 / side, 32 / side, 1), order=1)
    return np.clip(whole + 128, 0, 255).astype(np.uint8)


def make_dataset(pixels: Pixels, roles: tuple[str, ...] = ()) -> Dataset:
    count = len(pixels)
    return Dataset(
        "made", "made", ("a", "b"), np.arange(count) % 2, ArraySource(np.ascontiguousarray(pixels)),
        hash_pixels(np.ascontiguousarray(pixels)), roles or ("",) * count, 32, "", 3, {}, {},
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_planted_copies_are_found_and_nothing_else(kind: str) -> None:
    scenes = make_scenes(200)
    planted = np.stack([KINDS[kind](one) for one in scenes[:40]])
    found = find_copies(make_dataset(np.concatenate([scenes, planted])))
    assert {one[:2] for one in found} == {(row, 200 + row) for row in range(40)}
    assert {one.mirrored for one in found} == {kind == "mirrored"}
    assert min(one.alike for one in found) >= 0.95


def test_copies_of_copies_are_one_group_on_one_side() -> None:
    scenes = make_scenes(60)
    more = [np.stack([change(one) for one in scenes[:30]]) for change in KINDS.values()]
    dataset = make_dataset(np.concatenate([scenes, *more]))
    dataset = replace(dataset, copies=find_copies(dataset))
    groups = dataset.groups
    assert len(set(groups.tolist())) == 60
    for place in range(1, len(KINDS) + 1):
        assert (groups[60 + 30 * (place - 1) : 60 + 30 * place] == groups[:30]).all()
    split = make_split(dataset)
    sides = [set(groups[part].tolist()) for part in (split.train, split.val, split.test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_flat_images_and_those_equal_to_the_byte_are_no_such_copies() -> None:
    flat = (
        np.full((20, 32, 32, 3), 128, np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None]
    )
    scenes = make_scenes(5)
    assert find_copies(make_dataset(np.concatenate([flat, scenes, scenes]))) == ()


def test_small_images_have_none() -> None:
    digits = load_images("digits")
    assert digits.copies == ()


def test_a_folder_of_files_has_its_copies(tmp_path: Path) -> None:
    for number, scene in enumerate(make_scenes(12)):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(scene).resize((96, 80)).save(folder / f"{number:02}.png")
        if number < 3:
            Image.fromarray(scene).resize((64, 64)).save(folder / f"copy{number}.jpg", quality=70)
    for limit in (None, 0):
        dataset = load_images(tmp_path, memory_limit=limit)
        pairs = {(dataset.files[a], dataset.files[b]) for a, b, *_ in dataset.copies}
        assert {tuple(sorted(pair)) for pair in pairs} == {
            ("a/00.png", "a/copy0.jpg"), ("a/02.png", "a/copy2.jpg"), ("b/01.png", "b/copy1.jpg"),
        }  # fmt: skip
        assert len(set(dataset.groups.tolist())) == 12


def test_they_are_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path))
    monkeypatch.setattr("tellapart.data.copies.KEPT", 10)
    scenes = make_scenes(20)
    dataset = make_dataset(np.concatenate([scenes, scenes[:2, :, ::-1]]))
    found = recall_copies(dataset)
    assert len(found) == 2
    (kept,) = (tmp_path / "copies").iterdir()
    monkeypatch.setattr("tellapart.data.copies.find_copies", lambda _: pytest.fail("not again"))
    assert recall_copies(dataset) == found
    kept.write_text("{")
    with pytest.raises(pytest.fail.Exception):
        recall_copies(dataset)
