"""How much is computed at once follows from the memory that there is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.errors import BudgetError
from tellapart.models.backbone import Backbone, resize_backbone
from tellapart.train.loop import Rows
from tellapart.transfer import resources as module
from tellapart.transfer.choose import Screen, choose_resolution
from tellapart.transfer.features import extract_features
from tellapart.transfer.resources import (
    COPIES,
    ENGINE_BYTES,
    LIVE,
    MOST,
    Load,
    Resources,
    choose_load,
    measure_widest,
)

from .backbones import FEATURES, make_tiny


def leave(monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    """Say that so many bytes may be taken, on a machine of two cores."""
    monkeypatch.setattr(Resources, "measure_left", lambda self: int(left))
    monkeypatch.setattr(module, "count_cores", lambda: 2)


def reckon(backbone: Backbone, images: float) -> float:
    """Return the bytes that so many images at once take."""
    fixed = ENGINE_BYTES + 4 * COPIES * backbone.parameters
    return fixed + images * LIVE * measure_widest(backbone)


def test_the_widest_layer_is_found() -> None:
    # 16 x 16 x 3 pixels to 6 x 6 x 12 numbers, which the next layer has twice
    assert measure_widest(make_tiny()) == 4 * max(16 * 16 * 3 + 36 * FEATURES, 2 * 36 * FEATURES)


@pytest.mark.parametrize(
    ("images", "load"),
    [
        (1000, Load(MOST["cpu"])),
        (16, Load(8)),
        (15.9, Load(7)),
        (2, Load(1)),
        (1.9, Load(1, 1)),
        (1, Load(1, 1)),
    ],
)
def test_first_the_batch_falls_and_then_the_streams(
    images: float, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_tiny()
    leave(monkeypatch, reckon(backbone, images) + 1)
    assert choose_load(backbone, Resources("cpu")) == load


def test_too_little_for_one_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = make_tiny()
    leave(monkeypatch, reckon(backbone, 0.9) - 2e9)
    with pytest.raises(BudgetError, match=r"--max-memory 0\.5 \(GB\) .*tiny:one at 16 px: 2\.0"):
        choose_load(backbone, Resources("cpu", 0.5))
    with pytest.raises(BudgetError, match="the free memory is too little"):
        choose_load(backbone, Resources("cpu"))


def test_what_the_process_has_counts() -> None:
    assert Resources("cpu", 1000.0).measure_left() < 1000e9
    assert Resources("cpu", 0.001).measure_left() < 0


def test_resolutions_that_do_not_fit_are_left_out_and_named(
    digits: Dataset, digits_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = resize_backbone(make_tiny(), 224)
    leave(monkeypatch, reckon(resize_backbone(make_tiny(), 160), 1))
    said: list[str] = []
    rows = Rows(digits_split.train, digits_split.val)
    screen = Screen(digits, rows, Resources("cpu"), 0)
    chosen, screened = choose_resolution(screen, backbone, (96, 128, 160, 224), said.append)
    assert {record.image_size for record in screened} <= {96, 128, 160}
    assert chosen.image_size in (96, 128, 160)
    assert said[0] == "hub/tiny:one at 224 px: left out, it takes too much memory"


def test_features_are_those_of_any_load(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = make_tiny()
    whole = extract_features(digits, backbone, Resources("cpu")).vectors
    leave(monkeypatch, reckon(backbone, 1))
    other = dataclasses.replace(backbone, key="same-again")
    least = extract_features(digits, other, Resources("cpu")).vectors
    rows = np.arange(len(digits))
    assert np.abs(whole[rows].astype(float) - least[rows]).max() < 0.02
