"""Look at the data before training on them: what they are, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tellapart.audit.checks import CHECKS
from tellapart.audit.checks.balance import describe_balance
from tellapart.audit.checks.check import Looked as Looked
from tellapart.audit.checks.shortcuts import FEWEST
from tellapart.audit.floors import measure_floors
from tellapart.audit.samples import MOST_CLASSES, draw_samples
from tellapart.data.copies import is_comparable
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.split import Split, count_leaks
from tellapart.records import (
    ROLES,
    DataRecord,
    Finding,
    FindingName,
    InspectStep,
)
from tellapart.stop import check_stop
from tellapart.workspace import expand_path


def describe_data(dataset: Dataset, split: Split) -> DataRecord:
    """Return what a dataset is, with counts per class of each part of the split."""
    return DataRecord(
        name=dataset.name,
        origin=dataset.origin,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        counts={
            role: count_classes(dataset, rows)
            for role, rows in zip(ROLES, (split.train, split.val, split.test), strict=True)
        },
        image_size=dataset.image_size,
        channels=dataset.channels,
        size_reason=dataset.size_reason,
        streamed=dataset.source.streamed,
        sizes=dataset.sizes,
        modes=dataset.modes,
        notes=(*dataset.notes, *split.notes),
        excluded=dataset.excluded,
    )


def count_classes(dataset: Dataset, rows: Indices | slice) -> dict[str, int]:
    """Return the number of images of each class, by its name."""
    counts = np.bincount(dataset.labels[rows], minlength=len(dataset.classes)).tolist()
    return dict(zip(dataset.classes, counts, strict=True))


QUICK: tuple[FindingName, ...] = ("conflicts", "leaks", "groups", "blank", "unreadable", "balance")
"""Checks that look at no pixel, and take no time."""


def find_faults(looked: Looked, names: Iterable[FindingName] = CHECKS) -> tuple[Finding, ...]:
    """Return what these checks find, the gravest first."""
    found = []
    for name in names:
        check_stop()
        found.append(CHECKS[name](looked))
    return tuple(sorted((one for one in found if one), key=lambda one: one.severity != "grave"))


def list_unchecked(dataset: Dataset) -> tuple[str, ...]:
    """Return what could not be looked for in these data."""
    found = []
    if not is_comparable(dataset):
        found.append("copies that are not equal to the byte, for the images are too small, or many")
    if len(dataset) < FEWEST:
        found.append(f"shortcuts, of fewer than {FEWEST} images")
    elif "width" not in dataset.facts:
        found.append("shortcuts of files, for there are none")
    return tuple(found)


def audit_images(dataset: Dataset, split: Split, folder: str | Path) -> InspectStep:
    """Check a dataset and draw samples of each class into ``folder/samples.png``.

    ``seconds`` and ``peak_memory_mb`` are left at 0 for the caller, who measures.
    """
    folder = expand_path(folder)
    totals = count_classes(dataset, slice(None))
    most, least = max(totals.values()), min(totals.values())
    draw_samples(dataset, split.train, folder / "samples.png")
    looked = Looked(dataset, split, folder)
    leaked = count_leaks(dataset.pictures.tolist(), split)
    return InspectStep(
        data=describe_data(dataset, split),
        balance=describe_balance(totals),
        imbalance_ratio=most / max(1, least),
        majority_share=most / len(dataset),
        duplicates=len(dataset) - len(set(dataset.pictures.tolist())),
        leaked=leaked,
        separated=count_leaks(dataset.keys, split) - leaked,
        groups=len(set(dataset.names) - {""}),
        findings=find_faults(looked),
        floors=measure_floors(looked),
        unchecked=list_unchecked(dataset),
        samples=f"{folder.name}/samples.png",
        sampled=min(len(dataset.classes), MOST_CLASSES),
    )
