"""One scale for a whole data set, whatever the depth of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tellapart.data import Dataset, load_images
from tellapart.data.tone import Tone, choose_tone, measure_depth, scale_values

Values = NDArray[np.generic]


def scale(*images: Values, shallow: int = 0) -> tuple[list[list[int]], Tone]:
    tone, _ = choose_tone([measure_depth(image) for image in images], shallow)
    return [scale_values(image, tone).ravel().tolist() for image in images], tone


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 65_535], np.uint16), [0, 255]),
        (np.array([0, 4_095], np.uint16), [0, 255]),
        (np.array([0, 1_023], np.uint16), [0, 255]),
        (np.array([0, 200], np.uint16), [0, 200]),
        (np.array([0, 2**31 - 1], np.int32), [0, 255]),
        (np.array([-1_000, 500, 2_000], np.int32), [0, 128, 255]),
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([0, 0.505, 1.01], np.float32), [0, 128, 255]),
        (np.array([0, 200], np.float32), [0, 200]),
        (np.array([-1, 1], np.float32), [0, 255]),
        (np.array([np.nan, np.inf, 1, 0], np.float32), [0, 0, 255, 0]),
        (np.array([np.nan, np.inf], np.float32), [0, 0]),
        (np.array([7, 7], np.uint16), [7, 7]),
    ],
)
def test_values_fill_the_scale(values: Values, expected: list[int]) -> None:
    assert scale(values)[0] == [expected]


def test_twelve_bits_keep_their_levels() -> None:
    (found,), _ = scale(np.arange(4_096, dtype=np.uint16))
    assert len(set(found)) == 256 and found == sorted(found)


def test_all_images_have_one_scale() -> None:
    dark, bright = np.array([0, 900], np.uint16), np.array([0, 4_000], np.uint16)
    found, tone = scale(dark, bright)
    assert found == [[0, 56], [0, 249]] and tone.high == 4_095


def test_eight_bits_beside_a_few_more_have_the_same_units() -> None:
    """A class in 8 bits, values to 249, and a brighter one in 16, to 999."""
    _, tone = scale(np.array([999], np.uint16), shallow=5)
    assert (tone.high, tone.eight) == (1_023, 1_023)
    _, tone = scale(np.array([60_000], np.uint16), shallow=5)
    assert (tone.high, tone.eight) == (65_535, 255)


def write_values(path: Path, values: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def load_means(folder: Path) -> tuple[Dataset, dict[str, float]]:
    dataset = load_images(folder)
    pixels = dataset.source.read(np.arange(len(dataset)))
    means = pixels.reshape(len(dataset), -1).mean(1).tolist()
    return dataset, dict(zip(dataset.files, means, strict=True))


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_brighter_classes_stay_brighter(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        write_values(
            tmp_path / "dark" / f"{number}{ending}", rng.integers(0, 250, (16, 16), np.uint8)
        )
        values = rng.integers(500, 1_000, (16, 16)).astype(np.uint16)
        write_values(tmp_path / "bright" / f"{number}{ending}", values)
    dataset, means = load_means(tmp_path)
    assert all(20 < means[f"dark/{n}{ending}"] < 45 for n in range(3))
    assert all(170 < means[f"bright/{n}{ending}"] < 205 for n in range(3))
    assert any(
        "scaled as 10 bits, so that 1,023 is white, those of 8 bits beside them (3) too" in note
        for note in dataset.notes
    )


def test_floats_of_a_folder_have_one_scale(tmp_path: Path) -> None:
    for number, most in enumerate((1.0, 1.01, 0.5, 0.25)):
        ramp = np.tile(np.linspace(0, most, 16, dtype=np.float32), (16, 1))
        write_values(tmp_path / "ab"[number % 2] / f"{number}.tif", ramp)
    _, means = load_means(tmp_path)
    assert means["b/3.tif"] < means["a/2.tif"] < means["a/0.tif"] < means["b/1.tif"]
    assert means["b/1.tif"] == pytest.approx(127.5, abs=2)


def test_an_image_more_that_changes_the_scale_changes_the_hashes(tmp_path: Path) -> None:
    """Cached features are of the pixels, not of the file."""
    for number in range(4):
        values = np.full((8, 8), 100 + number, np.uint16)
        write_values(tmp_path / "ab"[number % 2] / f"{number}.png", values)
    before = load_images(tmp_path)
    write_values(tmp_path / "a" / "9.png", np.full((8, 8), 4_000, np.uint16))
    after = load_images(tmp_path)
    assert not set(before.hashes) & set(after.hashes)


@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (0, 255)])
def test_transparent_images_lie_where_they_can_be_seen(
    tmp_path: Path, ink: int, ground: int
) -> None:
    """White shapes on clear ground vanish on white, black ones on black."""
    for number in range(4):
        shape = np.full((16, 16, 4), (ink, ink, ink, 0), np.uint8)
        shape[4 : 8 + number, 4:8, 3] = 255
        write_values(tmp_path / "ab"[number % 2] / f"{number}.png", shape)
    dataset, means = load_means(tmp_path)
    corner = dataset.source.read(np.arange(4))[:, 0, 0, 0]
    assert corner.tolist() == [ground] * 4
    assert len(set(means.values())) == 4
    said = any("4 of 4 transparent images show nothing on white" in note for note in dataset.notes)
    assert said == (ink == 255)


def test_images_of_one_colour_are_named(folder: Path, write_image: Callable[..., Path]) -> None:
    write_values(folder / "1" / "blank.png", np.full((20, 24, 3), (9, 200, 3), np.uint8))
    dataset = load_images(folder)
    assert dataset.facts["single colour"].count("yes") == 1
    assert dataset.files[dataset.facts["single colour"].index("yes")] == "1/blank.png"


def test_black_and_white_shapes_lie_on_grey(tmp_path: Path) -> None:
    for number in range(8):
        ink = 255 * (number % 2)
        shape = np.full((16, 16, 4), (ink, ink, ink, 0), np.uint8)
        shape[4 : 8 + number, 4:8, 3] = 255
        write_values(tmp_path / "ab"[number // 4] / f"{number}.png", shape)
    dataset, means = load_means(tmp_path)
    assert len(set(means.values())) == 8
    said = "4 of 8 transparent images show nothing on white: all lie on grey, on which 0 show"
    assert any(said in note for note in dataset.notes)
