from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tellapart.config import OPERATIONS
from tellapart.data.augment import Draws, draw_augmentation
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import iterate_batches, shuffle_order
from tellapart.models.forward import prepare_batch
from tellapart.train.augment import (
    FILL,
    augment_images,
    blend_labels,
    count_hits,
    make_examples,
    move_images,
    paint_boxes,
    tint_images,
    turn_images,
)

from .conftest import CPU, make_images, make_noise, read_batch

ALL = "+".join(OPERATIONS)
channels = pytest.mark.parametrize("channels", [1, 3])
seeds = st.integers(0, 2**32)


def show_epoch(
    dataset: Dataset, augment: str, batch_size: int, order: Indices | None, epoch: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and truth of all rows, in the dataset's order, whatever that of reading."""
    rows = np.arange(len(dataset))
    draws = draw_augmentation(augment, len(dataset), rows, dataset.image_size, 7, epoch)
    images, truth = [], []
    batches = list(iterate_batches(dataset, rows, batch_size, order))
    for batch in batches:
        some, told = make_examples(dataset, draws, batch, CPU)
        assert len(some) == 0 or some.is_contiguous(memory_format=torch.channels_last)
        images.append(some)
        truth.append(told)
    back = np.argsort(np.concatenate([batch[2] for batch in batches]))
    return torch.cat(images)[back], torch.cat(truth)[back]


@channels
@pytest.mark.parametrize("augment", [*OPERATIONS, "none", "flip+shift", "strong", ALL])
def test_an_image_fares_alike_in_any_batch_and_order(augment: str, channels: int) -> None:
    dataset = make_noise(40, 12, channels)
    together = show_epoch(dataset, augment, 40, None)
    plain = show_epoch(dataset, "none", 40, None)
    kept = int(torch.eq(together[0], plain[0]).flatten(1).all(1).sum())
    assert kept < 40 if augment != "none" else kept == 40
    assert plain[1].tolist() == dataset.labels.tolist()
    for size in (1, 7, 40):
        again = show_epoch(dataset, augment, size, shuffle_order(40, size, 0))
        for one, other in zip(together, again, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


@given(seeds, st.integers(1, 17), st.permutations(range(12)))
def test_an_image_fares_alike_in_any_partition(seed: int, size: int, order: list[int]) -> None:
    dataset = make_noise(12, 8, 3)
    draws = draw_augmentation(ALL, 12, np.arange(12), 8, seed, 1)
    whole = make_examples(dataset, draws, read_batch(dataset, np.arange(12)), CPU)
    for at in range(0, 12, size):
        rows = np.array(order[at : at + size])
        some = make_examples(dataset, draws, read_batch(dataset, rows), CPU)
        assert torch.equal(some[0], whole[0][rows])
        assert torch.equal(some[1], whole[1][rows])


@pytest.mark.parametrize("side", [1, 2, 8, 96])
@channels
def test_images_stay_finite_in_range_and_channels_last(side: int, channels: int) -> None:
    images, truth = show_epoch(make_noise(6, side, channels), ALL, 4, None)
    assert images.shape == (6, channels, side, side)
    assert images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 + 1e-6
    assert truth.shape == (6, 5)
    torch.testing.assert_close(truth.sum(1), torch.ones(6))


def test_the_pixels_of_the_dataset_are_kept() -> None:
    dataset = make_noise(20, 8, 3)
    before = dataset.source.read(np.arange(20)).copy()
    for operation in OPERATIONS:
        show_epoch(dataset, operation, 20, None)
    np.testing.assert_array_equal(dataset.source.read(np.arange(20)), before)
    images, twin = make_images(20, 8), make_images(20, 8)
    augment_images(images, draw_augmentation(ALL, 20, np.arange(20), 8, 0, 0), np.arange(20))
    assert torch.equal(images, twin)


@channels
def test_a_flip_is_the_exact_mirror(channels: int) -> None:
    images = make_images(4, channels=channels)
    flips = np.array([True, False, True, False])
    moved = move_images(images, flips, None)
    for number, flip in enumerate(flips):
        image = images[number].numpy()
        np.testing.assert_array_equal(moved[number], image[:, :, ::-1] if flip else image)
    assert not torch.equal(moved[0], images[0])
    assert torch.equal(move_images(moved, flips, None), images)


@channels
def test_a_shift_is_a_crop_of_the_image_padded_by_reflection(channels: int) -> None:
    images = make_images(25, channels=channels)
    shifts = np.array([(down, right) for down in (-3, -1, 0, 2, 3) for right in (-3, -2, 0, 1, 3)])
    moved = move_images(images, None, shifts)
    for number, (down, right) in enumerate(shifts):
        padded = np.pad(images[number].numpy(), ((0, 0), (3, 3), (3, 3)), mode="reflect")
        expected = np.roll(padded, (down, right), (1, 2))[:, 3:-3, 3:-3]
        np.testing.assert_array_equal(moved[number], expected)


@given(st.integers(2, 20), seeds)
def test_a_flip_and_a_shift_at_once_are_a_shift_of_the_mirror(side: int, seed: int) -> None:
    images = make_images(6, side, seed=seed)
    draws = draw_augmentation("flip+shift", 6, np.arange(6), side, seed, 0)
    assert draws.flips is not None and draws.shifts is not None
    mirrored = move_images(images, draws.flips, None)
    expected = move_images(mirrored, None, draws.shifts)
    assert torch.equal(augment_images(images, draws, np.arange(6)), expected)
    assert expected.is_contiguous(memory_format=torch.channels_last)


@channels
@pytest.mark.parametrize("side", [8, 13, 96])
def test_no_turn_and_no_zoom_change_nothing(side: int, channels: int) -> None:
    images = make_images(3, side, channels)
    for angles, zooms in ((np.zeros(3), None), (None, np.ones(3)), (np.zeros(3), np.ones(3))):
        torch.testing.assert_close(turn_images(images, angles, zooms), images, rtol=0, atol=3e-5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_clockwise(quarters: int) -> None:
    images = make_images(3)
    turned = turn_images(images, np.full(3, quarters * math.pi / 2), None)
    expected = torch.rot90(images, -quarters, (2, 3))
    torch.testing.assert_close(turned, expected, rtol=0, atol=3e-5)


def sample_slowly(image: np.ndarray, angle: float, zoom: float) -> np.ndarray:
    """Rotate clockwise and enlarge one (h, w) image by a plain loop, reflecting the borders."""
    height, width = image.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    turned = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            down, right = np.array([row, column]) - middle
            y = middle[0] + (math.cos(angle) * down - math.sin(angle) * right) / zoom
            x = middle[1] + (math.sin(angle) * down + math.cos(angle) * right) / zoom
            y, x = abs(y), abs(x)
            y, x = min(y, 2 * (height - 1) - y), min(x, 2 * (width - 1) - x)
            top, left = min(int(y), height - 2), min(int(x), width - 2)
            v, u = y - top, x - left
            square = image[top : top + 2, left : left + 2]
            turned[row, column] = np.array([1 - v, v]) @ square @ np.array([1 - u, u])
    return turned


@pytest.mark.parametrize(("height", "width"), [(12, 12), (9, 16)])
def test_turns_and_zooms_are_those_of_a_plain_loop(height: int, width: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, height, width, 3), np.uint8)
    images = prepare_batch(pixels, CPU)
    angles, zooms = np.array([0.2, -0.26, 0.1, 0.0]), np.array([1.0, 0.85, 1.2, 1.1])
    turned = turn_images(images, angles, zooms)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    for number in range(4):
        for channel in range(3):
            image = images[number, channel].numpy().astype(np.float64)
            expected = sample_slowly(image, angles[number], zooms[number])
            np.testing.assert_allclose(turned[number, channel], expected, atol=3e-5)


def test_tints_are_the_three_steps_one_by_one() -> None:
    images = 0.3 + 0.4 * make_images(5)  # nothing to clip on the way
    tints = np.array([[1, 1, 1], [1.2, 1, 1], [1, 0.8, 1], [1, 1, 1.2], [0.9, 1.1, 0.8]])
    tinted = tint_images(images, tints)
    for number, (bright, contrast, saturation) in enumerate(tints):
        image = images[number].permute(1, 2, 0).numpy().astype(np.float64) * bright
        grey = image @ [0.299, 0.587, 0.114]
        image = contrast * image + (1 - contrast) * grey.mean()
        grey = image @ [0.299, 0.587, 0.114]
        image = saturation * image + (1 - saturation) * grey[..., None]
        np.testing.assert_allclose(tinted[number].permute(1, 2, 0), image, atol=1e-5)
    torch.testing.assert_close(tinted[0], images[0])


def test_grey_images_have_no_saturation() -> None:
    images = 0.3 + 0.4 * make_images(2, channels=1)
    one = tint_images(images, np.array([[0.9, 1.2, 0.8]] * 2))
    other = tint_images(images, np.array([[0.9, 1.2, 1.2]] * 2))
    assert torch.equal(one, other)
    bright = 0.9 * images
    expected = 1.2 * bright - 0.2 * bright.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(one, expected)


@given(seeds, st.sampled_from([1, 3]))
def test_tinted_images_stay_in_range(seed: int, channels: int) -> None:
    images = make_images(8, 8, channels, seed)
    tints = 1 + 3 * np.random.default_rng(seed).random((8, 3))
    tinted = tint_images(images, tints)
    assert tinted.min() >= 0 and tinted.max() == 1
    assert tinted.is_contiguous(memory_format=torch.channels_last)


@channels
@pytest.mark.parametrize("side", [8, 96])
def test_cutout_fills_its_box_alone(side: int, channels: int) -> None:
    images = make_images(30, side, channels) * 0.4
    draws = draw_augmentation("cutout", 30, np.arange(30), side, 0, 0)
    cut = augment_images(images, draws, np.arange(30))
    assert draws.holes is not None
    areas = set()
    for number, (top, left, bottom, right) in enumerate(draws.holes):
        expected = images[number].clone()
        expected[:, top:bottom, left:right] = FILL
        assert torch.equal(cut[number], expected)
        areas.add(int((cut[number] == FILL).sum()) // channels)
    assert max(areas) == (side // 2) ** 2
    assert len(areas) > 3


@channels
def test_a_painted_box_is_blended_by_its_opacity(channels: int) -> None:
    images, paint = make_images(4, channels=channels), make_images(4, channels=channels, seed=1)
    boxes = np.array([[0, 0, 12, 12], [2, 3, 7, 12], [5, 5, 5, 9], [0, 0, 12, 12]])
    opacities = np.array([0.25, 1.0, 1.0, 0.0])
    painted = paint_boxes(images, paint, boxes, opacities)
    torch.testing.assert_close(painted[0], 0.75 * images[0] + 0.25 * paint[0])
    assert torch.equal(painted[1, :, 2:7, 3:], paint[1, :, 2:7, 3:])
    assert torch.equal(painted[1, :, :, :3], images[1, :, :, :3])
    assert torch.equal(painted[1, :, 7:], images[1, :, 7:])
    assert torch.equal(painted[2:], images[2:])


@pytest.mark.parametrize("augment", ["mixup", "cutmix", "flip+shift+mixup+cutmix"])
def test_a_mixed_image_is_made_of_two_as_the_epoch_shows_them(augment: str) -> None:
    dataset = make_noise(30, 12, 3)
    rows = np.arange(30)
    draws = draw_augmentation(augment, 30, rows, 12, 7, 3)
    mix = draws.mix
    assert mix is not None
    alone = augment_images(make_images(30), replace(draws, mix=None), rows)
    images, truth = make_examples(dataset, draws, read_batch(dataset, rows), CPU)
    for row, partner in enumerate(mix.partners):
        top, left, bottom, right = mix.boxes[row]
        share = np.ones((12, 12), np.float32)
        share[top:bottom, left:right] -= mix.opacities[row]
        expected = share * alone[row].numpy() + (1 - share) * alone[partner].numpy()
        np.testing.assert_allclose(images[row], expected, atol=1e-6)
        weights = np.zeros(5)
        weights[dataset.labels[row]] += share.mean()
        weights[dataset.labels[partner]] += 1 - share.mean()
        np.testing.assert_allclose(truth[row], weights, atol=1e-6)
    assert (mix.shares < 1).sum() > 8


@given(st.integers(1, 9), st.integers(2, 6), seeds, st.sampled_from([0.0, 0.1]))
def test_the_loss_of_blended_labels_is_that_of_both(
    count: int, classes: int, seed: int, smoothing: float
) -> None:
    random = np.random.default_rng(seed)
    labels, partners = torch.from_numpy(random.integers(0, classes, (2, count)))
    shares = torch.from_numpy(random.random(count, np.float32))
    logits = torch.from_numpy(random.normal(size=(count, classes)).astype(np.float32))
    blended = blend_labels(labels, partners, shares, classes)
    torch.testing.assert_close(blended.sum(1), torch.ones(count))
    assert blended.min() >= 0
    own, other = (
        functional.cross_entropy(logits, told, label_smoothing=smoothing, reduction="none")
        for told in (labels, partners)
    )
    expected = (shares * own + (1 - shares) * other).sum()
    found = functional.cross_entropy(logits, blended, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_hits_are_counted_against_the_heavier_label() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    assert count_hits(logits, torch.tensor([0, 1, 1])) == 2
    weights = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.6, 0.4], [0.3, 0.7, 0.0]])
    assert count_hits(logits, weights) == 2


def test_a_batch_of_another_size_than_drawn_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        augment_images(make_images(2, 8), Draws(size=12), np.arange(2))
