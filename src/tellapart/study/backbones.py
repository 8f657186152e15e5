"""What the transfer chooses from: backbones, the resolution of each, and who gets all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from tellapart.cells.cell import open_rows
from tellapart.data.dataset import Indices
from tellapart.errors import BackboneError
from tellapart.models.backbone import PACKAGED, Backbone, list_here, make_backbone, resize_backbone
from tellapart.records import Record, ScreenRecord, TransferPlan
from tellapart.search.sweep import check_sizes
from tellapart.study.context import Context
from tellapart.study.deadline import NoTime, choose_fitting
from tellapart.transfer.choose import Screen, choose_resolution, list_resolutions
from tellapart.transfer.features import Progress, check_cache, time_backbone
from tellapart.transfer.logistic import check_counts
from tellapart.transfer.resources import Resources, choose_load, fits_memory
from tellapart.transfer.views import View, list_views

AUTO = "auto"
"""Names every backbone that needs no network and whose weights are free to use."""
CONFIRMED = 2
"""Of those, how many get all images: the best on a part of them."""
FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
"""Licences that allow any use: weights under others are taken only where they are named."""
SCREENED = 3000
"""Images that a resolution is tried on, at most."""
EXTRACTION = 0.7
"""The part of the time that features may take; heads have the rest."""


def name_backbones(context: Context) -> tuple[str, ...]:
    """Return the backbones of the transfer: those named, else the packaged one."""
    names = context.settings.transfer.backbones or (PACKAGED,)
    every = [one for name in names for one in (list_here() if name == AUTO else (name,))]
    return tuple(dict.fromkeys(every))


def find_resources(context: Context) -> Resources:
    """Return with what features are computed."""
    return Resources(context.device, context.settings.transfer.max_memory)


def find_views(context: Context) -> tuple[View, ...]:
    """Return how training images are shown: as they are, then augmented."""
    asked = context.settings.transfer
    return list_views(asked.views, asked.view_augment, context.settings.seed)


def list_extracted(context: Context, share: float) -> Indices:
    """Return the rows whose features a transfer on a share of the training images takes."""
    every = np.arange(len(context.dataset))
    if share == 1:
        return every
    rows = open_rows(context, "transfer", share, context.settings.seed)
    return np.setdiff1d(every, np.setdiff1d(context.seal.split.train, rows.train))


def list_sizes(context: Context, backbone: Backbone) -> tuple[int, ...]:
    """Return the resolution that was named, or those that are tried."""
    asked = context.settings.transfer.image_size
    if asked is not None or not context.rules.val:
        return (asked or backbone.image_size,)
    side = max(int(part) for size in context.dataset.sizes for part in size.split("x"))
    return list_resolutions(backbone, side)


def check_backbones(context: Context) -> None:
    """Find out now which backbones cannot be had, or not at the size asked for, or in the memory.

    Raises:
        BackboneError: one that was named, or its size, cannot be had, or two have one name.
        SettingError: an augmentation that views cannot have, or sizes that repeat.
        DataError: a class has fewer images than there are folds.
        WorkspaceError: the cache of features cannot be written.
        BudgetError: the memory that was named does not suffice for one image of it; `auto` passes
            such over.
    """
    asked, split = context.settings.transfer, context.seal.split
    find_views(context)
    if asked.head_sizes:
        check_sizes(asked.head_sizes)
    if asked.folds is not None:
        check_counts(context.dataset, split.merge_train_val(), asked.folds)
    check_cache()
    keys: dict[str, str] = {}
    for name in name_backbones(context):
        if name != PACKAGED and not name.startswith("local-dir:"):
            context.reporter.say(
                f"{name}: reading its weights, or fetching them where they are not"
            )
        backbone = make_backbone(name)
        if keys.setdefault(backbone.name, backbone.key) != backbone.key:
            raise BackboneError(
                f"backbones must have names of their own, but two are called {backbone.name}; "
                "rename the folder of one"
            )
        lowest = resize_backbone(backbone, list_sizes(context, backbone)[0])
        if asked.max_memory is not None and AUTO not in asked.backbones:
            choose_load(lowest, find_resources(context))


def plan_transfer(context: Context, seconds: float) -> TransferPlan:
    """Return the backbones and resolutions whose features fit so many seconds.

    Higher resolutions go first, then, of ``auto``, backbones, then training images.
    """
    auto = AUTO in context.settings.transfer.backbones
    names = list_candidates(context) if auto else name_backbones(context)
    wished = {name: list_sizes(context, make_backbone(name)) for name in names}
    if seconds == float("inf"):
        return TransferPlan(sizes=wished, text=say_sizes(wished))
    taken = min(len(wished), CONFIRMED) if auto else len(wished)
    views, train = len(find_views(context)), context.images
    held, images = len(context.dataset) - train, len(context.dataset) + (views - 1) * train
    sizes: dict[str, tuple[int, ...]] = {}
    share, estimate, short = 1.0, 0.0, list[NoTime]()
    for name, own in wished.items():
        pace = time_backbone(
            context.dataset,
            resize_backbone(make_backbone(name), own[0]),
            context.seal.split.train,
            find_resources(context),
        )
        # all images at the resolution that is taken, a part of them at each that is tried
        areas = [(size / own[0]) ** 2 for size in own]
        options = [
            (at + 1, 1.0, pace * (areas[at] * images + sum(areas[:at]) * min(SCREENED, images)))
            for at in reversed(range(len(own)))
        ]
        options += [
            (1, 0.5**half, pace * (held + 0.5**half * train * views)) for half in range(1, 5)
        ]
        try:
            count, part, cost = choose_fitting(
                options, lambda one: taken * one[2] / EXTRACTION, seconds
            )
        except NoTime as error:
            if not auto:
                raise
            short.append(error)
            continue
        sizes[name], share, estimate = own[:count], min(share, part), estimate + cost
    if not sizes:
        raise max(short, key=lambda error: error.needed)
    cut = [
        f"{name} at {sizes[name][-1]} px at most, of {own[-1]}"
        for name, own in wished.items()
        if name in sizes and sizes[name][-1] < own[-1]
    ]
    cut += [f"without {name}" for name in wished if name not in sizes]
    cut += [f"{100 * share:.0f} % of the training images"] if share < 1 else []
    text = say_sizes(sizes)
    return TransferPlan(sizes=sizes, share=share, estimate=estimate, cut=tuple(cut), text=text)


def say_sizes(sizes: Mapping[str, Sequence[int]]) -> str:
    """Say backbones and their resolutions: "tiny at 96 or 128 px"."""
    return "; ".join(f"{name} at {' or '.join(map(str, own))} px" for name, own in sizes.items())


class Candidates(Record):
    """``candidates.json``: name, size in pixels and key of those that get all images."""

    chosen: tuple[tuple[str, int, str], ...]
    screened: tuple[ScreenRecord, ...]


def choose_backbones(
    context: Context, plan: TransferPlan
) -> tuple[list[Backbone], tuple[ScreenRecord, ...]]:
    """Return the backbones that get all images, each at its resolution, and what was screened.

    Those that were named are; of `auto` the ``CONFIRMED`` that do best on a part of the images.
    What the first start chose is read by later ones.
    """
    found = context.decide("transfer", "candidates", Candidates, lambda: _screen(context, plan))
    return [find_backbone(context, *one) for one in found.chosen], found.screened


def find_backbone(context: Context, name: str, size: int, key: str) -> Backbone:
    """Return a backbone that the first start chose, by its key; it may lie elsewhere now."""
    names = name_backbones(context)
    options = (name, *names) if name in names else (*names, name)
    for option in dict.fromkeys(options):
        with suppress(BackboneError):  # another one, which cannot be had or not at this size
            backbone = resize_backbone(make_backbone(option, fetch=option in names), size)
            if backbone.key == key:
                return backbone
    raise BackboneError(
        f"this study began with backbone {name} at {size} px (key {key}), but no --backbone here "
        "has its weights; put them back, or use another --out"
    )


def list_candidates(context: Context) -> tuple[str, ...]:
    """Return the backbones that are free to use, or named, and for which memory suffices."""
    named, kept, small = context.settings.transfer.backbones, [], []
    for name in name_backbones(context):
        one = make_backbone(name)
        if one.license not in FREE and name not in named:
            said = f"its licence ({one.license}) may forbid some uses; name it to take it"
            context.reporter.say(f"{one.name}: left out, {said}")
            continue
        small.append((one.parameters, name))
        if fits_memory(resize_backbone(one, list_sizes(context, one)[0]), find_resources(context)):
            kept.append(name)
        else:
            context.reporter.say(f"{one.name}: left out, it takes too much memory")
    return tuple(kept) or (min(small)[1],)  # which then says so


def _screen(context: Context, plan: TransferPlan) -> Candidates:
    """Choose the resolution of each backbone, and of `auto` the best, on a part of the images."""
    auto = AUTO in context.settings.transfer.backbones
    screen = Screen(
        context.dataset,
        open_rows(context, "transfer", plan.share, context.settings.seed),
        find_resources(context),
        context.settings.seed,
        context.metric,
        partial(watch_images, context),
    )
    say = partial(context.reporter.advance, 0)
    scored: list[tuple[float, tuple[str, int, str]]] = []
    records: list[ScreenRecord] = []
    for name, sizes in plan.sizes.items():
        backbone, tried = choose_resolution(screen, make_backbone(name), sizes, say)
        if auto and len(plan.sizes) > CONFIRMED and not tried:
            tried = (screen.try_backbone(backbone),)
        records += tried
        scores = {one.image_size: one.val_score.value for one in tried}
        chosen = (name, backbone.image_size, backbone.key)
        scored.append((scores.get(backbone.image_size, 0.0), chosen))
    if auto:
        scored = sorted(scored, key=lambda one: -one[0])[:CONFIRMED]
    return Candidates(chosen=tuple(chosen for _, chosen in scored), screened=tuple(records))


def watch_images(context: Context, backbone: Backbone, note: str = "") -> Progress:
    """Return what shows the images of a backbone whose features are there, and are computed."""
    shown: int | None = None
    label = f"{backbone.name} at {backbone.image_size} px{note}"

    def show(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            context.reporter.skip(done, f"{label}: {done:,} images read")
        else:
            said = f"{label}: features of {done:,} of {total:,} images"
            context.reporter.advance(done - shown, said)
        shown = done

    return show
