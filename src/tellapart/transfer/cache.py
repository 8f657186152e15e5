"""What tellapart keeps of features: a list, a check, and room made."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import WorkspaceError
from tellapart.transfer.store import FORMAT, KEY, list_shards, locate_features, read_shard
from tellapart.workspace import read_json

DAY = 24 * 3600.0
OWN = (".json", ".safetensors", ".tmp")
"""How the files of a set end; a folder with any other is left alone."""


@dataclass(frozen=True)
class FeatureSet:
    """One set of features on disk: its images and bytes, and when it was used last (Unix time).

    ``key`` is what its numbers depend on, empty for one that this version cannot read; ``damaged``
    are shards that are not whole, which are computed again when they are needed.
    """

    folder: Path
    key: dict[str, Any]
    images: int
    size: int
    used: float
    damaged: tuple[Path, ...] = ()


def list_sets(check: bool = False) -> tuple[FeatureSet, ...]:
    """Return all sets of features in the cache, the one used last first.

    ``check`` compares checksums, which reads everything.

    Raises:
        WorkspaceError: a shard cannot be opened now.
    """
    found = []
    for folder in locate_features().glob("*"):
        with suppress(WorkspaceError):  # no folder of features
            key = read_json(folder / KEY)
            if not isinstance(key, dict) or not isinstance(key.get("format"), int):
                continue
            if all(p.is_file() and p.suffix in OWN for p in folder.iterdir()):
                found.append((folder, key))
    sets = [_read_set(folder, key, check) for folder, key in found]
    return tuple(sorted(sets, key=lambda one: (-one.used, one.folder.name)))


def _read_set(folder: Path, key: dict[str, Any], check: bool) -> FeatureSet:
    known = key.pop("format") == FORMAT
    shards = {path: read_shard(path, check) for path in list_shards(folder)} if known else {}
    size = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a study at work has taken its temporary file away
            size += path.stat().st_size
    return FeatureSet(
        folder=folder,
        key=key if known else {},
        images=sum(len(shard.hashes) for shard in shards.values() if shard is not None),
        size=size,
        used=(folder / KEY).stat().st_mtime,
        damaged=tuple(path for path, shard in shards.items() if shard is None),
    )


def prune_sets(
    sets: Sequence[FeatureSet], unused_days: float | None = None, backbone: str | None = None
) -> tuple[FeatureSet, ...]:
    """Remove sets of features, and damaged shards of the others; return the sets that went.

    Those go that this version cannot read, and where either is told, those that were not used for
    so many days and are of that backbone.

    Raises:
        WorkspaceError: a folder cannot be removed.
    """
    before = time.time() - DAY * (unused_days or 0)
    told = unused_days is not None or backbone is not None
    gone: list[FeatureSet] = []
    for one in sets:
        old = unused_days is None or one.used <= before
        try:
            if not one.key or (told and old and backbone in (None, one.key.get("backbone"))):
                shutil.rmtree(one.folder)
                gone.append(one)
            else:
                for path in one.damaged:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise WorkspaceError(
                f"{one.folder} could not be removed ({error.strerror or error}); "
                "see who owns it, or set TELLAPART_CACHE to another folder"
            ) from error
    return tuple(gone)


def describe_sets(sets: Sequence[FeatureSet]) -> str:
    """Return a table that a person reads."""
    if not sets:
        return f"no features in {locate_features()}"
    lines = [f"{'backbone':<34} {'images':>9} {'MB':>7}  {'last used':<10}  what"]
    for one in sets:
        name = str(one.key.get("backbone", one.folder.name))
        what = "of another version: prune removes it"
        if one.key:
            what = f"{one.key['image_size']} px, {one.key['view']}, {one.key['engine']}"
        if one.damaged:
            what += f"; {len(one.damaged)} damaged"
        used = time.strftime("%Y-%m-%d", time.localtime(one.used))
        lines.append(f"{name:<34} {one.images:>9,} {one.size / 1e6:>7.1f}  {used}  {what}")
    whole = sum(one.size for one in sets)
    return "\n".join([*lines, f"{whole / 1e6:,.1f} MB in {locate_features()}"])
