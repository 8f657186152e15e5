"""What step 6 chooses from: backbones, the resolution of each, and which of them get all images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from tellapart.config import HeadSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import BackboneError
from tellapart.models.backbone import (
    Backbone,
    list_here,
    make_backbone,
    resize_backbone,
)
from tellapart.models.packaged import PACKAGED
from tellapart.plan import StudySettings, plan_heads
from tellapart.records import ScreenRecord
from tellapart.records.plans import Record
from tellapart.report.wording import say_seconds
from tellapart.study.bench import Bench
from tellapart.train.loop import Rows
from tellapart.transfer.choose import Screen, choose_resolution, list_resolutions
from tellapart.transfer.features import Progress, check_cache
from tellapart.transfer.resources import Resources, choose_load, fits_memory
from tellapart.transfer.views import View, list_views

AUTO = "auto"
"""Names every backbone that needs no network and whose weights are free to use."""
CONFIRMED = 2
"""Of those, how many get all images: the best on a part of them."""
FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
"""Licences that allow any use: weights under others are taken only where they are named."""


def name_backbones(bench: Bench) -> tuple[str, ...]:
    """Return the backbones of step 6: those named, else the packaged one."""
    names = bench.settings.transfer.backbones or (PACKAGED,)
    every = [one for name in names for one in (list_here() if name == AUTO else (name,))]
    return tuple(dict.fromkeys(every))


def find_means(settings: StudySettings) -> Resources:
    """Return with what features are computed."""
    return Resources(settings.device, settings.transfer.max_memory)


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
        means, watch = find_means(settings), partial(watch_images, self.bench)
        return Screen(self.bench.dataset, self.rows, means, settings.seed, watch)

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
        BackboneError: one that was named, or its size, cannot be had, or two have one name.
        WorkspaceError: the cache of features cannot be written.
        BudgetError: the memory that was named does not suffice for one image of it; `auto` passes
            such over.
    """
    check_cache()
    means = find_means(bench.settings)
    keys: dict[str, str] = {}
    for name in name_backbones(bench):
        if name != PACKAGED and not name.startswith("local-dir:"):
            bench.reporter.say(f"{name}: reading its weights, or fetching them where they are not")
        backbone = make_backbone(name)
        if keys.setdefault(backbone.name, backbone.key) != backbone.key:
            raise BackboneError(
                f"backbones must have names of their own, but two are called {backbone.name}; "
                "rename the folder of one"
            )
        lowest = _take_lowest(bench, backbone)
        if means.max_memory is not None and AUTO not in bench.settings.transfer.backbones:
            choose_load(lowest, means)


class Candidates(Record):
    """``candidates.json``: name, size in pixels and key of those that get all images."""

    chosen: tuple[tuple[str, int, str], ...]
    screened: tuple[ScreenRecord, ...]


def choose_backbones(
    work: Work, names: Sequence[str]
) -> tuple[list[tuple[str, Backbone]], tuple[ScreenRecord, ...]]:
    """Return the backbones that get all images, each at its resolution, and what was screened.

    Those that were named are; of `auto` the ``CONFIRMED`` that do best on a part of the images, of
    those that are free to use, for which memory suffices and whose features of all images fit the
    study's minutes.

    What the first start chose is read by later ones: paces and free memory are others then.

    Raises:
        BudgetError: memory suffices for none of them.
    """

    def choose() -> Candidates:
        chosen, records = _choose(work, names)
        return Candidates(
            chosen=tuple((one.name, one.backbone.image_size, one.backbone.key) for one in chosen),
            screened=tuple(records),
        )

    found = work.bench.settle("transfer", "candidates", Candidates, choose)
    return [_find_again(names, *one) for one in found.chosen], found.screened


def _find_again(names: Sequence[str], name: str, size: int, key: str) -> tuple[str, Backbone]:
    """Return a backbone that the first start chose; it may lie elsewhere now.

    Raises:
        BackboneError: no backbone here has its key.
    """
    for option in dict.fromkeys((*(one for one in names if one == name), *names, name)):
        with suppress(BackboneError):  # another one, which cannot be had or not at this size
            backbone = resize_backbone(make_backbone(option, fetch=option in names), size)
            if backbone.key == key:
                return option, backbone
    raise BackboneError(
        f"this study began with backbone {name} at {size} px (key {key}), but no --backbone here "
        "has its weights; put them back, or use another --out"
    )


def _choose(
    work: Work, names: Sequence[str]
) -> tuple[Sequence[_Candidate], Sequence[ScreenRecord]]:
    bench = work.bench
    auto = AUTO in bench.settings.transfer.backbones
    made = [(name, make_backbone(name)) for name in names]
    made = _keep_small(work, _keep_free(work, made)) if auto else made
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


def count_screened(work: Work, names: Sequence[str]) -> int:
    """Return how many images candidates are tried on; none where an earlier start asked them."""
    bench = work.bench
    if (bench.folder / "transfer" / "candidates.json").is_file():
        return 0
    some = AUTO in bench.settings.transfer.backbones and len(names) > CONFIRMED
    tried = [len(_list_sizes(bench, make_backbone(name))) for name in names]
    times = sum(count for count in tried if some or count > 1)
    return times * work.screen.count_images() if times else 0


def watch_images(bench: Bench, backbone: Backbone, note: str = "") -> Progress:
    """Return what shows the images of a backbone whose features are there, and are computed."""
    shown: int | None = None
    label = f"{backbone.name} at {backbone.image_size} px{note}"

    def show(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            bench.reporter.skip(done, f"{label}: {done:,} images read")
        else:
            said = f"{label}: features of {done:,} of {total:,} images"
            bench.reporter.advance(done - shown, said)
        shown = done

    return show


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


def _keep_free(work: Work, made: Sequence[tuple[str, Backbone]]) -> list[tuple[str, Backbone]]:
    """Return the backbones that were named, or whose weights are free to use."""
    kept: list[tuple[str, Backbone]] = []
    for name, one in made:
        if one.license in FREE or name in work.bench.settings.transfer.backbones:
            kept.append((name, one))
        else:
            said = f"its licence ({one.license}) may forbid some uses; name it to take it"
            work.bench.reporter.say(f"{one.name}: left out, {said}")
    return kept


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
    return resize_backbone(backbone, _list_sizes(bench, backbone)[0])


def _list_sizes(bench: Bench, backbone: Backbone) -> tuple[int, ...]:
    """Return the resolution that was named, or those that are tried."""
    asked = bench.settings.transfer.image_size
    if asked is not None or bench.notebook:
        return (asked or backbone.image_size,)
    return list_resolutions(backbone, find_side(bench.dataset))


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
    bench = work.bench
    sizes = _list_sizes(bench, backbone)
    if len(sizes) == 1:
        return resize_backbone(backbone, sizes[0]), ()
    side = find_side(bench.dataset)
    return choose_resolution(work.screen, backbone, side, partial(bench.reporter.advance, 0))


def find_side(dataset: Dataset) -> int:
    """Return the longest side of any image, in pixels."""
    return max(int(part) for size in dataset.sizes for part in size.split("x"))
