"""What step 6 chooses from: backbones, the resolution of each, and which of them get all images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tellapart.config import HeadSettings
from tellapart.models.backbone import (
    Backbone,
    find_default,
    list_here,
    make_backbone,
    resize_backbone,
)
from tellapart.plan import plan_heads
from tellapart.records import ScreenRecord
from tellapart.study.bench import Bench
from tellapart.train.loop import Rows
from tellapart.transfer.choose import Screen, choose_resolution
from tellapart.transfer.views import View, list_views

AUTO = "auto"
"""Names every backbone that needs no network."""
CONFIRMED = 2
"""Of those, how many get all images: the best on a part of them."""


def name_backbones(bench: Bench) -> tuple[str, ...]:
    """Return the backbones of step 6: those named, else a cached one, else the embedded one."""
    names = bench.settings.transfer.backbones or (find_default(),)
    every = [one for name in names for one in (list_here() if name == AUTO else (name,))]
    return tuple(dict.fromkeys(every))


@dataclass(frozen=True)
class Work:
    """What step 6 does for each backbone."""

    bench: Bench
    heads: tuple[HeadSettings, ...]
    views: tuple[View, ...]

    @cached_property
    def rows(self) -> Rows:
        """The rows to train on and to choose on, opened when they are needed first."""
        return self.bench.open_rows("transfer")

    @cached_property
    def screen(self) -> Screen:
        """A part of the images, to ask candidates of."""
        settings = self.bench.settings
        return Screen(self.bench.dataset, self.rows, settings.device, settings.seed)

    def count_units(self) -> int:
        """Return the images and epochs of one backbone."""
        images = len(self.bench.dataset)
        if len(self.views) > 1:
            images += (len(self.views) - 1) * len(self.rows.train)
        return images + len(self.views) * sum(head.epochs for head in self.heads)


def make_work(bench: Bench) -> Work:
    """Return what step 6 does.

    Raises:
        SettingError: an augmentation that views cannot have.
    """
    asked = bench.settings.transfer
    views = list_views(asked.views, asked.augment, bench.settings.seed)
    return Work(bench, plan_heads(bench.settings), views)


def choose_backbones(
    work: Work, names: Sequence[str], count: int
) -> tuple[list[tuple[str, Backbone]], tuple[ScreenRecord, ...]]:
    """Return ``count`` of the backbones, at the resolution of each, and what was screened for it.

    Where that is fewer than there are, they are those that do best on a part of the images.
    """
    found: list[tuple[str, Backbone, float]] = []
    records: list[ScreenRecord] = []
    for name in names:
        backbone, screened = _choose_size(work, make_backbone(name))
        if not screened and count < len(names):
            screened = (work.screen.try_backbone(backbone),)
        worth = max((one.val_accuracy.value for one in screened), default=0.0)
        found.append((name, backbone, worth))
        records += screened
    best = sorted(found, key=lambda one: -one[2])[:count]
    return [(name, backbone) for name, backbone, _ in best], tuple(records)


def _choose_size(work: Work, backbone: Backbone) -> tuple[Backbone, tuple[ScreenRecord, ...]]:
    """Return a backbone at the resolution that was named, or that does best on a few images."""
    bench, asked = work.bench, work.bench.settings.transfer.image_size
    if asked is not None:
        return resize_backbone(backbone, asked), ()
    if bench.notebook:
        return backbone, ()

    def show(record: ScreenRecord) -> None:
        said = f"{record.name} at {record.image_size} px, on a part of the images"
        bench.reporter.advance(0, f"{said}: {100 * record.val_accuracy.value:.1f} %")

    side = max(int(part) for size in bench.dataset.sizes for part in size.split("x"))
    return choose_resolution(work.screen, backbone, side, show)
