from __future__ import annotations

import signal
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.audit import audit_images, describe_data
from tellapart.audit.checks.balance import describe_balance
from tellapart.audit.samples import MOST_CLASSES, draw_samples, spread_evenly
from tellapart.data import load_images
from tellapart.data.dataset import ArraySource, Dataset
from tellapart.data.split import Split, make_split
from tellapart.errors import Interrupted
from tellapart.records import Excluded, InspectStep
from tellapart.report.sections.inspect import INSPECT
from tellapart.stop import catch_signals


def answer(step: InspectStep) -> str:
    """Return what the report says of it."""
    return INSPECT.answer(step, step.data.classes)


def test_equal_classes_are_no_issue() -> None:
    said = describe_balance({"cat": 1200, "dog": 1200})
    assert said.startswith("Every class has 1,200 images: balance is no issue")


def test_nearly_equal_classes_are_no_issue() -> None:
    said = describe_balance({"cat": 100, "dog": 140})
    assert "largest class (dog, 140) has 1.4 times the images of the smallest (cat, 100)" in said
    assert said.endswith("no issue.")


@pytest.mark.parametrize("dogs", [150, 900])
def test_unequal_classes_matter(dogs: int) -> None:
    said = describe_balance({"cat": 100, "dog": dogs})
    assert "balance matters" in said
    assert f"Always answering dog would be right {100 * dogs / (100 + dogs):.1f} %" in said
    assert "look at the recall of cat; tellapart train --class-weights balanced" in said


def test_an_empty_class_is_no_division_by_zero() -> None:
    assert "balance matters" in describe_balance({"cat": 0, "dog": 30})


def test_the_digits_are_audited(digits: Dataset, digits_split: Split, tmp_path: Path) -> None:
    step = audit_images(digits, digits_split, tmp_path / "inspect")
    totals = np.bincount(digits.labels)
    assert step.imbalance_ratio == totals.max() / totals.min()
    assert step.majority_share == totals.max() / totals.sum()
    assert step.duplicates == step.leaked == 0
    assert step.samples == "inspect/samples.png"
    parts = {"train": digits_split.train, "val": digits_split.val, "test": digits_split.test}
    for role, counts in step.data.counts.items():
        assert list(counts) == list(digits.classes)
        assert list(counts.values()) == np.bincount(digits.labels[parts[role]]).tolist()
    sizes = [f"{len(rows):,} " for rows in parts.values()]
    assert answer(step).startswith("1,797 images in 10 classes: ")
    assert all(size in answer(step) for size in sizes)
    assert step.balance in answer(step)
    with Image.open(tmp_path / step.samples) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


def copy_first(digits: Dataset, rows: list[int]) -> Dataset:
    """The digits, with some rows turned into copies of row 0."""
    assert isinstance(digits.source, ArraySource)
    pixels, hashes = digits.source.pixels.copy(), list(digits.hashes)
    for row in rows:
        pixels[row], hashes[row] = pixels[0], hashes[0]
    labels = digits.labels.copy()
    labels[rows] = labels[0]
    return replace(digits, source=ArraySource(pixels), hashes=tuple(hashes), labels=labels)


def test_copies_are_counted_and_stay_on_one_side(digits: Dataset, tmp_path: Path) -> None:
    copied = copy_first(digits, [5, 70, 900])
    step = audit_images(copied, make_split(copied), tmp_path)
    assert (step.duplicates, step.leaked) == (3, 0)
    assert "Found: copies of one picture." in answer(step)
    assert "copies of others: 3 of 1,797, 3 of them to the byte." in step.findings[0].sentence


def test_copies_across_given_roles_are_leaks(digits: Dataset, tmp_path: Path) -> None:
    copied = copy_first(digits, [1796, 1795])
    roles = ("train",) * 1000 + ("val",) * 400 + ("test",) * 397
    given = replace(copied, roles=roles)
    step = audit_images(given, make_split(given), tmp_path)
    assert (step.duplicates, step.leaked) == (2, 2)
    assert "too: 2 of 397 in test. Scores on them" in step.findings[0].sentence


def test_what_was_left_out_is_said(digits: Dataset, digits_split: Split, tmp_path: Path) -> None:
    lost = replace(digits, excluded=(Excluded(path="a/b.png", reason="truncated"),), notes=("n",))
    step = audit_images(lost, digits_split, tmp_path)
    assert "Found: files were left out." in answer(step)
    assert step.data.excluded[0].path == "a/b.png"
    assert describe_data(lost, digits_split).notes == ("n", *digits_split.notes)


def test_samples_of_odd_classes_are_drawn(digits: Dataset, tmp_path: Path) -> None:
    """A class name that is mathematics to matplotlib, a long one, and a class of one image."""
    rows = np.concatenate([np.flatnonzero(digits.labels == d)[:n] for d, n in ((0, 9), (1, 1))])
    odd = replace(
        digits,
        classes=("$x_", "a name that is far too long for it"),
        labels=digits.labels[rows],
        source=ArraySource(digits.source.read(rows)),
        hashes=tuple(digits.hashes[row] for row in rows),
        roles=("",) * len(rows),
    )
    with Image.open(draw_samples(odd, np.arange(len(odd)), tmp_path / "samples.png")) as image:
        assert image.height < image.width


def make_noise(classes: tuple[str, ...], side: int, each: int = 5) -> Dataset:
    """Images of noise, which no PNG makes smaller."""
    count = len(classes) * each
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return Dataset(
        name="noise",
        origin="noise",
        classes=classes,
        labels=np.arange(len(classes)).repeat(each),
        source=ArraySource(pixels),
        hashes=tuple(str(number) for number in range(count)),
        roles=("",) * count,
        image_size=side,
        size_reason="",
        channels=3,
        sizes={f"{side}x{side}": count},
        modes={"RGB": count},
    )


@pytest.mark.parametrize("count", [10, 20, 1000])
def test_samples_stay_below_4_mb_whatever_the_classes(count: int, tmp_path: Path) -> None:
    noise = make_noise(tuple(f"class {number}" for number in range(count)), 64, 8)
    path = draw_samples(noise, np.arange(len(noise)), tmp_path / "samples.png")
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as image:
        assert image.width <= 912 and image.height < 1400  # the width of the report


def test_of_hundreds_of_classes_a_part_is_shown_and_that_is_said(tmp_path: Path) -> None:
    noise = make_noise(tuple(f"class {number}" for number in range(200)), 8)
    start = time.process_time()
    step = audit_images(noise, make_split(noise), tmp_path / "inspect")
    assert time.process_time() - start < 5
    assert "The samples show 40 of the 200 classes." in answer(step)
    assert spread_evenly(200, MOST_CLASSES)[[0, 1, -1]].tolist() == [0, 5, 199]


def test_pixels_of_small_images_stay_sharp(digits: Dataset, tmp_path: Path) -> None:
    with Image.open(draw_samples(digits, np.arange(1797), tmp_path / "samples.png")) as image:
        tile = np.asarray(image)[:88, -92:-4, 0]
    squares = tile.reshape(8, 11, 8, 11)
    assert (squares == squares[:, :1, :, :1]).all()


def test_samples_of_larger_files_are_read_from_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            stripes = np.tile(np.arange(176) // 2 % 2 * 255, (176, 1)).astype(np.uint8)
            Image.fromarray(stripes).save(tmp_path / "photos" / name / f"{number}.png")
    photos = load_images(tmp_path / "photos")
    assert photos.image_size == 64
    with Image.open(draw_samples(photos, np.arange(10), tmp_path / "samples.png")) as image:
        tile = np.asarray(image)[8:80, -92 * 8 + 8 : -92 * 8 + 80, 0]
    assert np.ptp(tile.astype(int)) > 100  # at 64 px the stripes are all but gone


def test_samples_of_classes_in_any_script_warn_of_nothing(tmp_path: Path) -> None:
    noise = make_noise(("猫", "犬", "😀", "العربية", "$x_", "a" * 300), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_samples(noise, np.arange(len(noise)), tmp_path / "samples.png")


def test_drawing_samples_stops_when_asked(digits: Dataset, tmp_path: Path) -> None:
    with catch_signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            draw_samples(digits, np.arange(100), tmp_path / "samples.png")
