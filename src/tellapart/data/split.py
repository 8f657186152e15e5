"""Which images are train, val and test: indices now, a manifest of hashes on disk.

Roles that the data come with are kept. What is missing is carved from train, per class, by
a rank that depends on the seed and the image's content alone (or the name of its group): adding
images or changing their order moves almost none. Equal images and groups stay on one side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tellapart.config import SplitSettings
from tellapart.data.dataset import Dataset, Indices, rank_content
from tellapart.errors import DataError
from tellapart.records import ROLES, Record
from tellapart.workspace import read_record, write_json

FEWEST, NAMED = 5, 30
"""Images that a class must have to be divided, and classes that an error names at most."""
Groups = dict[int, dict[str, list[int]]]
"""Class -> key -> rows: images that belong together, each group under one class."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a dataset, sorted int64, and how they were chosen."""

    train: Indices
    val: Indices
    test: Indices
    settings: SplitSettings
    notes: tuple[str, ...] = ()

    def merge_train_val(self) -> Indices:
        """Return the rows outside test, sorted."""
        return np.sort(np.concatenate([self.train, self.val]))


class Manifest(Record):
    """``split.json``: the hashes of the images in each role."""

    version: Literal[1] = 1
    fingerprint: str
    settings: SplitSettings
    notes: tuple[str, ...] = ()
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def make_split(dataset: Dataset, settings: SplitSettings | None = None) -> Split:
    """Divide a dataset into train, val and test; the roles that it gives are kept.

    Raises:
        DataError: no training images, or a class with too few to divide.
    """
    settings = settings or SplitSettings()
    roles = np.array(dataset.roles, dtype="U5")
    if settings.split == "grouped":
        roles[:] = ""
    parts = {role: np.flatnonzero(roles == role) for role in ("val", "test")}
    pool = np.flatnonzero((roles == "train") | (roles == ""))
    if not len(pool):
        raise DataError(
            f"{dataset.name} must have images to train on, but all {len(dataset):,} are "
            "given as val or test; add a folder train, or give one without roles"
        )
    shares = {"test": settings.test_share, "val": settings.val_share}
    wanted = {role: share for role, share in shares.items() if not len(parts[role])}
    notes = []
    if settings.split == "grouped" and any(dataset.roles):
        notes.append("the splits that the data came with were not used (--split grouped)")
    groups = _group_rows(dataset, pool)
    small = [
        f"{name!r} ({count})"
        for name, count in zip(dataset.classes, _count_groups(dataset, groups), strict=True)
        if count < FEWEST
    ]
    if wanted and small:
        raise DataError(
            f"every class must have {FEWEST} different images {'and groups ' * bool(dataset.names)}"
            f"of its own to be split, but fewer are in {', '.join(small[:NAMED])}"
            f"{f' and {len(small) - NAMED:,} more' if len(small) > NAMED else ''}; add images, or "
            "leave these classes out, as by --min-images"
        )
    distinct = {label: n for label, inside in groups.items() if (n := len(inside)) >= FEWEST}
    whole = {label: sum(map(len, groups[label].values())) for label in distinct}
    for role, share in wanted.items():
        targets = _set_targets(whole, share, settings.most)
        chosen: list[int] = []
        for label, count in distinct.items():
            salt, limit = f"{role}:{settings.seed}", (count - 1) // 2
            chosen += _choose_rows(groups[label], salt, targets[label], limit)
        parts[role] = np.array(sorted(chosen), np.int64)
        notes.append(
            f"{role}: {len(chosen):,} images ({len(chosen) / len(pool):.0%}) carved from train, by "
            f"class, seed {settings.seed}"
        )
    train = np.setdiff1d(pool, np.concatenate([parts["val"], parts["test"]]))
    return Split(train, parts["val"], parts["test"], settings, tuple(notes))


def write_split(path: Path, dataset: Dataset, split: Split) -> Path:
    """Write the manifest: the dataset's fingerprint, and the images' hashes per role."""
    about = {"fingerprint": dataset.fingerprint, "settings": split.settings, "notes": split.notes}
    return write_json(path, Manifest.model_validate(about | _list_hashes(dataset, split)))


def read_split(path: Path, dataset: Dataset) -> Split:
    """Make the split of a manifest again, for it follows from the data and the settings.

    Raises:
        DataError: the manifest is of other data, or lists other images.
        WorkspaceError: the file cannot be read, or is no manifest.
    """
    manifest = read_record(path, Manifest)
    if manifest.fingerprint != dataset.fingerprint:
        raise DataError(
            f"{path} is a split of other data: its fingerprint is {manifest.fingerprint}, that of "
            f"{dataset.name} is {dataset.fingerprint}; restore the images, or use another --out"
        )
    split = make_split(dataset, manifest.settings)
    for role, listed in _list_hashes(dataset, split).items():
        if sorted(listed) != sorted(getattr(manifest, role)):
            raise DataError(
                f"{path} lists other images as {role} than its settings give; remove it"
            )
    return split


def _list_hashes(dataset: Dataset, split: Split) -> dict[str, list[str]]:
    parts = zip(ROLES, (split.train, split.val, split.test), strict=True)
    return {role: [dataset.hashes[row] for row in rows] for role, rows in parts}


def count_leaks(keys: Sequence[Hashable], split: Split) -> int:
    """Return how many images of val and test have the key of one in a split that comes before."""
    seen = {keys[row] for row in split.train}
    leaks = 0
    for rows in (split.val, split.test):
        leaks += sum(keys[row] in seen for row in rows)
        seen |= {keys[row] for row in rows}
    return leaks


def _group_rows(dataset: Dataset, pool: Indices) -> Groups:
    """Group images that belong together; one of several classes goes with the rarest of them."""
    by_key: dict[str, list[int]] = defaultdict(list)
    for row in pool.tolist():
        by_key[dataset.keys[row]].append(row)
    totals = np.bincount(dataset.labels[pool], minlength=len(dataset.classes)).tolist()
    groups: Groups = {label: {} for label in range(len(dataset.classes))}
    for key, rows in by_key.items():
        among = {int(dataset.labels[row]) for row in rows}
        home = min(among, key=lambda label: (totals[label], dataset.classes[label]))
        groups[home][key] = rows
    return groups


def _count_groups(dataset: Dataset, groups: Groups) -> list[int]:
    """Return in how many groups each class has images."""
    counts = [0] * len(dataset.classes)
    for inside in groups.values():
        for rows in inside.values():
            for label in {int(dataset.labels[row]) for row in rows}:
                counts[label] += 1
    return counts


def _set_targets(whole: Mapping[int, int], share: float, most: int) -> dict[int, int]:
    """Return how many rows of each class to carve: a share, at least one, ``most`` in all."""
    targets = {label: max(1, round(share * count)) for label, count in whole.items()}
    ends = np.cumsum([0, *targets.values()])
    if ends[-1] <= most:
        return targets
    sizes = np.diff(np.rint(ends * most / ends[-1]).astype(np.int64))  # their sum is most
    return {label: max(1, size) for label, size in zip(targets, sizes.tolist(), strict=True)}


def _choose_rows(
    inside: dict[str, list[int]], salt: str, target: int, most_groups: int
) -> list[int]:
    """Take whole groups out of ``inside``, in the order of their rank, up to ``target`` rows."""
    order = sorted(inside, key=lambda key: rank_content(f"{salt}:{key}"))
    taken: list[str] = []
    count = 0
    for key in order:
        if len(taken) < most_groups and count + len(inside[key]) <= target:
            taken.append(key)
            count += len(inside[key])
    if not taken:  # every group is larger than the target: take the fewest
        taken = [min(order, key=lambda key: len(inside[key]))]
    return [row for key in taken for row in inside.pop(key)]
