"""Which resolution is taken, and which are tried for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.metrics.intervals import estimate_proportion
from tellapart.models.backbone import Backbone, resize_backbone
from tellapart.records import ScreenRecord
from tellapart.train.loop import Rows
from tellapart.transfer.choose import Screen, choose_resolution
from tellapart.transfer.resources import Resources

from .backbones import make_tiny

SIZES = (96, 128, 160, 224)


@dataclass(frozen=True)
class KnownScreen(Screen):
    """Knows how many of 100 images each resolution gets right."""

    hits: tuple[int, ...] = ()

    def try_backbone(self, backbone: Backbone) -> ScreenRecord:
        return ScreenRecord(
            name=backbone.name,
            image_size=backbone.image_size,
            parameters=backbone.parameters,
            val_score=estimate_proportion(self.hits[SIZES.index(backbone.image_size)], 100),
            seconds=1.0,
            computed=100,
        )


@pytest.mark.parametrize(
    ("hits", "tried", "taken"),
    [
        ((90, 89, 95, 99), [96, 128], 96),
        ((90, 90, 95, 99), [96, 128], 96),
        ((90, 92, 91, 99), [96, 128, 160], 128),
        ((90, 92, 94, 96), [96, 128, 160, 224], 224),
    ],
)
def test_no_higher_resolution_is_tried_once_one_does_no_better(
    hits: tuple[int, ...], tried: list[int], taken: int, digits: Dataset, digits_split: Split
) -> None:
    rows = Rows(digits_split.train, digits_split.val)
    screen = KnownScreen(digits, rows, Resources("cpu"), 0, hits=hits)
    said: list[str] = []
    chosen, screened = choose_resolution(
        screen, resize_backbone(make_tiny(), 224), SIZES, said.append
    )
    assert [one.image_size for one in screened] == tried
    assert len(said) == len(tried)
    assert chosen.image_size == taken
