from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.config import OPERATIONS
from tellapart.data.augment import (
    LARGEST_ZOOM,
    STREAMS,
    STRONGEST_TINT,
    WIDEST_ANGLE,
    Draws,
    draw_augmentation,
    measure_boxes,
    place_boxes,
)
from tellapart.data.loader import shuffle_order

ALL = "+".join(OPERATIONS)
seeds = st.integers(0, 2**65)
epochs = st.integers(0, 1000)
sizes = st.integers(8, 96)
operations = st.sets(st.sampled_from(OPERATIONS), min_size=1)


def draw(
    augment: str = ALL, total: int = 60, size: int = 32, seed: int = 0, epoch: int = 0
) -> Draws:
    return draw_augmentation(augment, total, np.arange(total)[::2], size, seed, epoch)


def list_arrays(drawn: Any) -> dict[str, np.ndarray]:
    """Every array of the draws, by name."""
    found: dict[str, np.ndarray] = {}
    for field in fields(drawn):
        value = getattr(drawn, field.name)
        if is_dataclass(value):
            found |= {f"mix.{name}": array for name, array in list_arrays(value).items()}
        elif isinstance(value, np.ndarray):
            found[field.name] = value
    return found


NAMES = {
    *("flips", "shifts", "angles", "zooms", "holes", "tints"),
    *("mix.partners", "mix.boxes", "mix.opacities", "mix.shares"),
}


def assert_equal(one: Draws, other: Draws) -> None:
    arrays, others = list_arrays(one), list_arrays(other)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_each_operation_has_a_stream_of_its_own() -> None:
    assert set(OPERATIONS) < set(STREAMS)
    assert len(set(STREAMS.values()) | {0}) == len(STREAMS) + 1


def test_none_draws_nothing_and_all_draws_everything() -> None:
    assert list_arrays(draw("none")) == {}
    arrays = list_arrays(draw())
    assert arrays.keys() == NAMES
    assert {len(array) for array in arrays.values()} == {60}
    np.testing.assert_array_equal(arrays["flips"], draw("flip").flips)


@given(seeds, epochs, st.lists(epochs, max_size=3))
def test_an_epoch_needs_no_earlier_one(seed: int, epoch: int, before: list[int]) -> None:
    direct = draw(seed=seed, epoch=epoch)
    for earlier in before:
        draw(seed=seed, epoch=earlier)
        shuffle_order(60, seed, earlier)
    assert_equal(direct, draw(seed=seed, epoch=epoch))


@given(seeds, epochs, st.integers(1, 50))
def test_a_row_fares_alike_in_a_longer_dataset(seed: int, epoch: int, more: int) -> None:
    rows = np.arange(20)
    short = list_arrays(draw_augmentation(ALL, 20, rows, 32, seed, epoch))
    long = list_arrays(draw_augmentation(ALL, 20 + more, rows, 32, seed, epoch))
    assert short.keys() == NAMES
    for name, array in short.items():
        np.testing.assert_array_equal(array, long[name][:20], err_msg=name)


OWN = {
    "flip": ("flips",),
    "shift": ("shifts",),
    "rotation": ("angles",),
    "zoom": ("zooms",),
    "colour": ("tints",),
    "cutout": ("holes",),
}


@given(seeds, epochs, sizes, operations, operations)
def test_adding_operations_leaves_the_others_draws_as_they_are(
    seed: int, epoch: int, size: int, some: set[str], more: set[str]
) -> None:
    few = draw("+".join(some), 40, size, seed, epoch)
    many = draw("+".join(some | more), 40, size, seed, epoch)
    for operation in some & OWN.keys():
        for name in OWN[operation]:
            assert list_arrays(few)[name] is not None
            np.testing.assert_array_equal(list_arrays(few)[name], list_arrays(many)[name])
    if few.mix is not None:
        assert many.mix is not None
        np.testing.assert_array_equal(few.mix.partners, many.mix.partners)
        mixed = few.mix.opacities > 0
        assert mixed.any()
        for name in ("boxes", "opacities", "shares"):
            kept, now = getattr(few.mix, name)[mixed], getattr(many.mix, name)[mixed]
            np.testing.assert_array_equal(kept, now)


def test_draws_differ_by_row_epoch_and_seed() -> None:
    drawn = [draw(total=500, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in range(4)]
    for name in ("angles", "zooms", "tints"):
        together = np.concatenate([list_arrays(one)[name] for one in drawn])
        assert len(np.unique(together, axis=0)) == len(together) == 4000, name
    shares = np.concatenate([one.mix.shares for one in drawn if one.mix is not None])
    blended = np.concatenate([one.mix.opacities for one in drawn if one.mix is not None]) < 1
    assert 1800 < blended.sum() < 2200
    assert len(np.unique(shares[blended])) == blended.sum()
    for one in range(len(drawn)):
        for other in range(one):
            for name in NAMES - {"flips"}:
                a, b = list_arrays(drawn[one])[name], list_arrays(drawn[other])[name]
                assert (a != b).any(), name


@given(seeds, epochs)
def test_two_successive_epochs_show_both_mirrors(seed: int, epoch: int) -> None:
    first, second, third = (draw("flip", seed=seed, epoch=epoch + later) for later in range(3))
    assert first.flips is not None and second.flips is not None and third.flips is not None
    np.testing.assert_array_equal(first.flips, ~second.flips)
    np.testing.assert_array_equal(first.flips, third.flips)
    assert 0 < first.flips.sum() < 60


def test_draws_are_uniform() -> None:
    drawn = draw(total=20_000, seed=3, epoch=2)
    assert drawn.flips is not None and drawn.shifts is not None and drawn.mix is not None
    assert drawn.angles is not None and drawn.zooms is not None and drawn.tints is not None
    assert abs(drawn.flips.mean() - 0.5) < 0.02
    counts = np.bincount(drawn.shifts.ravel() + 4, minlength=9)
    assert abs(counts - 40_000 / 9).max() < 400
    for unit in (
        (drawn.angles / WIDEST_ANGLE + 1) / 2,
        (np.log(drawn.zooms) / np.log(LARGEST_ZOOM) + 1) / 2,
        *((drawn.tints.T - 1) / STRONGEST_TINT + 1) / 2,
    ):
        found = np.histogram(unit, 10, (0, 1))[0]
        assert found.sum() == 20_000
        assert abs(found - 2000).max() < 250
    partners = np.bincount(drawn.mix.partners, minlength=20_000)
    assert partners[1::2].sum() == 0
    assert (partners[::2] > 0).mean() > 0.6  # 1 - exp(-2) of them
    assert abs((drawn.mix.opacities < 1).mean() - 0.5) < 0.02


def test_no_operation_foretells_another() -> None:
    arrays = list_arrays(draw(total=20_000, seed=3, epoch=2))
    opacities, boxes = arrays["mix.opacities"], arrays["mix.boxes"]
    blended = np.where(opacities < 1, opacities, 0.5)
    single = [arrays[name] for name in ("flips", "angles", "zooms", "mix.partners")]
    single += [np.argsort(shuffle_order(20_000, 3, 2)), blended]
    several = [arrays["shifts"], arrays["tints"], arrays["holes"][:, :2]]
    mixing = [opacities < 1, boxes[:, 0], boxes[:, 1]]
    numbers = np.column_stack([*mixing, *single, *several]).astype(np.float64)
    related = np.abs(np.array(np.corrcoef(numbers.T)))
    assert related.shape == (16, 16)
    related[:3, :3] = 0  # a box pasted is a row not blended
    np.fill_diagonal(related, 0)
    assert related.max() < 0.04


@given(seeds, epochs, sizes)
def test_draws_keep_their_bounds(seed: int, epoch: int, size: int) -> None:
    drawn = draw(size=size, seed=seed, epoch=epoch)
    assert drawn.shifts is not None and drawn.angles is not None and drawn.zooms is not None
    assert drawn.tints is not None and drawn.holes is not None and drawn.mix is not None
    assert 0 < np.abs(drawn.shifts).max() <= size // 8
    assert np.abs(drawn.angles).max() <= WIDEST_ANGLE < 0.3
    assert 1 / 1.2 <= drawn.zooms.min() < 1 < drawn.zooms.max() <= 1.2
    assert 0.8 <= drawn.tints.min() < 1 < drawn.tints.max() <= 1.2
    for boxes in (drawn.holes, drawn.mix.boxes):
        assert boxes.min() >= 0 and boxes.max() <= size
        assert (boxes[:, 2:] >= boxes[:, :2]).all()
    sides = drawn.holes[:, 2:] - drawn.holes[:, :2]
    assert sides.max() == size // 2
    assert sides.min() >= size // 2 // 2
    assert drawn.mix.shares.min() >= 0 and drawn.mix.shares.max() <= 1
    assert (drawn.mix.shares < 1).any()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_images_have_draws(size: int) -> None:
    drawn = draw(size=size)
    assert drawn.shifts is not None and drawn.holes is not None
    assert np.abs(drawn.shifts).max() == (size > 1)
    assert (measure_boxes(drawn.holes) == 1).all()


@pytest.mark.parametrize(("augment", "translucent"), [("mixup", True), ("cutmix", False)])
def test_one_kind_of_mixing_leaves_half_of_the_rows_whole(augment: str, translucent: bool) -> None:
    one, both = draw(augment, 4000), draw("mixup+cutmix", 4000)
    assert one.mix is not None and both.mix is not None
    assert abs((one.mix.opacities > 0).mean() - 0.5) < 0.05
    assert (both.mix.opacities > 0).all()
    whole = one.mix.opacities == 0
    assert (one.mix.shares[whole] == 1).all()
    assert set((one.mix.opacities[~whole] < 1).tolist()) == {translucent}


def test_the_share_of_a_pasted_box_is_what_it_leaves() -> None:
    drawn = draw("cutmix", 2000, 16).mix
    assert drawn is not None
    left = np.ones((2000, 16, 16))
    for row in np.flatnonzero(drawn.opacities):
        top, first, bottom, last = drawn.boxes[row]
        left[row, top:bottom, first:last] = 0
    np.testing.assert_allclose(drawn.shares, left.mean((1, 2)), atol=1e-12)
    assert drawn.shares.min() < 0.2


def test_partners_are_training_rows() -> None:
    rows = np.array([5, 3, 50])
    drawn = draw_augmentation("mixup", 60, rows, 8, 0, 0).mix
    assert drawn is not None
    assert set(drawn.partners.tolist()) == {3, 5, 50}


@given(st.lists(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2, st.integers(0, 32))), sizes)
def test_boxes_are_squares_clipped(places: list[tuple[float, float, int]], size: int) -> None:
    centres = np.array([place[:2] for place in places]).reshape(-1, 2).T
    sides = np.array([place[2] for place in places], np.int64)
    boxes = place_boxes(centres, sides, size)
    assert boxes.shape == (len(places), 4)
    for (down, right, side), box, area in zip(places, boxes, measure_boxes(boxes), strict=True):
        rows = [y for y in range(size) if 0 <= y - int(down * size) + side // 2 < side]
        columns = [x for x in range(size) if 0 <= x - int(right * size) + side // 2 < side]
        assert area == len(rows) * len(columns)
        if area:
            assert box.tolist() == [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
