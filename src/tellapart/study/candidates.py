"""What step 6 chooses from: backbones, the resolution of each, and which of them get all images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset
from tellapart.models.backbone import (
    Backbone,
    find_default,
    list_here,
    make_backbone,
    resize_backbone,
)
from tellapart.plan import StudySettings, plan_heads
from tellapart.records import ScreenRecord
from tellapart.report.wording import say_seconds
from tellapart.study.bench import Bench
from tellapart.train.loop import Rows
from tellapart.transfer.choose import Screen, choose_resolution, list_resolutions
from tellapart.transfer.means import Means, choose_load, fits_memory
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


def find_means(settings: StudySettings) -> Means:
    """Return with what features are computed."""
    return Means(settings.device, settings.transfer.max_memory)


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
        return Screen(self.bench.dataset, self.rows, find_means(settings), settings.seed)

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


def check_backbones(bench: Bench) -> None:
    """Find out now which backbones cannot be had, or not at the size asked for, or in the memory.

    Raises:
        BackboneError: one that was named, or its size, cannot be had.
        BudgetError: the memory that was named does not suffice for one image of it; `auto` passes
            such over.
    """
    means = find_means(bench.settings)
    for name in name_backbones(bench):
        lowest = _take_lowest(bench, make_backbone(name))
        if means.max_memory is not None and AUTO not in bench.settings.transfer.backbones:
            choose_load(lowest, means)


def choose_backbones(
    work: Work, names: Sequence[str]
) -> tuple[list[tuple[str, Backbone]], tuple[ScreenRecord, ...]]:
    """Return the backbones that get all images, each at its resolution, and what was screened.

    Those that were named are; of `auto` the ``CONFIRMED`` that do best on a part of the images, of
    those for which memory suffices and whose features of all images fit the study's minutes.

    What the first start chose is read by later ones: paces and free memory are others then.

    Raises:
        BudgetError: memory suffices for none of them.
    """

    def choose() -> dict[str, Any]:
        chosen, records = _choose(work, names)
        return {
            "chosen": [(one.name, one.backbone.image_size) for one in chosen],
            "screened": [record.model_dump(mode="json") for record in records],
        }

    found = work.bench.settle("transfer", "candidates", dict[str, Any], choose)
    screened = tuple(ScreenRecord.model_validate(one) for one in found["screened"])
    return [
        (name, resize_backbone(make_backbone(name), int(size))) for name, size in found["chosen"]
    ], screened


def _choose(
    work: Work, names: Sequence[str]
) -> tuple[Sequence[_Candidate], Sequence[ScreenRecord]]:
    bench = work.bench
    auto = AUTO in bench.settings.transfer.backbones
    made = [(name, make_backbone(name)) for name in names]
    made = _keep_small(work, made) if auto else made
    some = auto and len(made) > CONFIRMED
    found: list[_Candidate] = []
    records: list[ScreenRecord] = []
    for name, backbone in made:
        sized, screened = _choose_size(work, backbone)
        if some and not screened:
            screened = (work.screen.try_backbone(sized),)
        records += screened
        own = next((one for one in screened if one.image_size == sized.image_size), None)
        if own is not None and own.computed:
            bench.clock.add("transfer", name_part(sized), own.seconds)
        found.append(_Candidate(name, sized, own))
    return _keep_quick(work, found)[:CONFIRMED] if auto else found, records


def name_part(backbone: Backbone) -> str:
    """Return under what name the seconds of a backbone's features are kept."""
    return f"features of {backbone.name.replace('/', '_').replace(':', '_')}"


@dataclass(frozen=True)
class _Candidate:
    """A backbone at its resolution, and what it came to on a few images, if it was asked."""

    name: str
    backbone: Backbone
    screened: ScreenRecord | None

    @property
    def worth(self) -> float:
        """Its accuracy on those."""
        return 0.0 if self.screened is None else self.screened.val_accuracy.value


def _keep_small(work: Work, made: Sequence[tuple[str, Backbone]]) -> list[tuple[str, Backbone]]:
    """Return the backbones for which memory suffices; of none the smallest, which then says so."""
    means = find_means(work.bench.settings)
    kept: list[tuple[str, Backbone]] = []
    for name, backbone in made:
        if fits_memory(_take_lowest(work.bench, backbone), means):
            kept.append((name, backbone))
        else:
            work.bench.reporter.say(f"{backbone.name}: left out, it takes too much memory")
    return kept or [min(made, key=lambda one: one[1].parameters)]


def _take_lowest(bench: Bench, backbone: Backbone) -> Backbone:
    """Return a backbone at the resolution that was named, or the lowest that would be tried."""
    asked = bench.settings.transfer.image_size
    if asked is not None or bench.notebook:
        return resize_backbone(backbone, asked or backbone.image_size)
    return resize_backbone(backbone, list_resolutions(backbone, find_side(bench.dataset))[0])


def _keep_quick(work: Work, found: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the candidates, best first, whose features of all images fit the study's minutes."""

    def reckon(one: _Candidate) -> float:
        screened = one.screened
        if screened is None or not screened.computed:
            return 0.0
        return screened.seconds / screened.computed * len(work.bench.dataset)

    minutes = work.bench.settings.minutes
    kept = [one for one in found if minutes is None or reckon(one) <= 60 * minutes]
    for one in found:
        if one not in kept:
            said = f"its features of all images would take {say_seconds(reckon(one))}"
            work.bench.reporter.say(f"{one.backbone.name}: left out, {said}")
    return sorted(kept or [min(found, key=reckon)], key=lambda one: -one.worth)


def _choose_size(work: Work, backbone: Backbone) -> tuple[Backbone, tuple[ScreenRecord, ...]]:
    """Return a backbone at the resolution that was named, or that does best on a few images."""
    bench, asked = work.bench, work.bench.settings.transfer.image_size
    if asked is not None:
        return resize_backbone(backbone, asked), ()
    if bench.notebook:
        return backbone, ()
    side = find_side(bench.dataset)
    return choose_resolution(work.screen, backbone, side, partial(bench.reporter.advance, 0))


def find_side(dataset: Dataset) -> int:
    """Return the longest side of any image, in pixels."""
    return max(int(part) for size in dataset.sizes for part in size.split("x"))
