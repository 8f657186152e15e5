"""Which images are train, val and test: indices now, a manifest of hashes on disk.

Roles that the data come with are kept. What is missing is carved from train, per class, by
a rank that depends on the seed and the image's content alone: adding images or changing
their order moves almost none. Equal images stay on one side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tellapart.config import SplitSettings
from tellapart.data.dataset import Dataset, Indices, rank_content
from tellapart.errors import DataError
from tellapart.records import ROLES, Record
from tellapart.workspace import read_record, write_json

FEWEST = 5
Groups = dict[int, dict[str, list[int]]]
"""Class -> hash -> rows: equal images together, each group under one class."""


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
    groups = _group_rows(dataset, pool)
    small = [
        f"{dataset.classes[label]!r} ({len(inside)})"
        for label, inside in groups.items()
        if len(inside) < FEWEST
    ]
    if wanted and small:
        raise DataError(
            f"every class must have {FEWEST} different images of its own to be split, but fewer "
            f"are in {', '.join(small)}; add images, or remove these classes"
        )
    whole = {label: sum(map(len, inside.values())) for label, inside in groups.items()}
    distinct = {label: len(inside) for label, inside in groups.items()}
    for role, share in wanted.items():
        targets = _set_targets(whole, share, settings.most)
        chosen: list[int] = []
        for label, inside in groups.items():
            limit = (distinct[label] - 1) // 2
            chosen += _choose_rows(inside, f"{role}:{settings.seed}", targets[label], limit)
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


def count_leaks(dataset: Dataset, split: Split) -> int:
    """Return how many images of val and test have an exact copy in a split that comes before."""
    seen = {dataset.hashes[row] for row in split.train}
    leaks = 0
    for rows in (split.val, split.test):
        leaks += sum(dataset.hashes[row] in seen for row in rows)
        seen |= {dataset.hashes[row] for row in rows}
    return leaks


def _group_rows(dataset: Dataset, pool: Indices) -> Groups:
    """Group equal images; a group under several classes goes with the first of their names."""
    by_hash: dict[str, list[int]] = defaultdict(list)
    for row in pool.tolist():
        by_hash[dataset.hashes[row]].append(row)
    groups: Groups = {label: {} for label in range(len(dataset.classes))}
    for digest, rows in by_hash.items():
        home = min((int(dataset.labels[row]) for row in rows), key=dataset.classes.__getitem__)
        groups[home][digest] = rows
    return groups


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
    order = sorted(inside, key=lambda digest: rank_content(f"{salt}:{digest}"))
    taken: list[str] = []
    count = 0
    for digest in order:
        if len(taken) < most_groups and count + len(inside[digest]) <= target:
            taken.append(digest)
            count += len(inside[digest])
    if not taken:  # every image has more copies than the target: take the fewest
        taken = [min(order, key=lambda digest: len(inside[digest]))]
    return [row for digest in taken for row in inside.pop(digest)]
