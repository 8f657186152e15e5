"""Datasets of the Hugging Face hub, by name: ``hf:OWNER/NAME``, from their Parquet files."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from textwrap import shorten

from tellapart.config import ReadSettings
from tellapart.data.content import FileContent
from tellapart.data.dataset import Dataset
from tellapart.data.layout import find_role
from tellapart.data.listing import Listing
from tellapart.data.loading import load_listing
from tellapart.data.tables import Source, find_beside, scan_tables
from tellapart.errors import DataError

SCHEME = "hf:"
CONVERTED = "refs/convert/parquet"
"""Where the hub itself keeps any dataset as Parquet."""


def load_hub(name: str, settings: ReadSettings, download: bool, memory_limit: int) -> Dataset:
    """Read ``hf:OWNER/NAME`` or ``hf:OWNER/NAME/SUBSET``; its copy in the hub's cache, if any.

    Nothing of the dataset is run: its Parquet files are read.

    Raises:
        DataError: no such name, no network and no copy, no Parquet files, or several subsets.
    """
    if not re.fullmatch(r"hf:\w[\w.-]*/\w[\w.-]*(/\w[\w.-]*)?", name):
        raise DataError(
            f"DATA of the hub must be hf:OWNER/NAME or hf:OWNER/NAME/SUBSET, not {name}"
        )
    owner, short, *subset = name.removeprefix(SCHEME).split("/")
    folder = fetch_hub(name, download)
    files = _choose_subset(name, folder, subset[0] if subset else None)
    listing = Listing(name, "dataset of the hub")
    find = find_beside(folder, settings)
    tables = [Source(str(path.relative_to(folder)), FileContent(path), find) for path in files]
    scan_tables(tables, listing, settings)
    return load_listing(listing, Path("-".join((owner, short, *subset))), settings, memory_limit)


def fetch_hub(name: str, download: bool = True) -> Path:
    """Return the folder of a dataset's Parquet files in the hub's cache, fetched if need be."""
    from huggingface_hub import snapshot_download

    repository, reasons = "/".join(name.removeprefix(SCHEME).split("/")[:2]), []
    for local in (True, False) if download else (True,):
        for revision in (None, CONVERTED):
            try:
                found = snapshot_download(
                    repository,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns="*.parquet",
                    local_files_only=local,
                )
            except Exception as error:  # the many ways to say that there is no network
                reasons.append(shorten(str(error), 120, placeholder=" ..."))
                continue
            if any(Path(str(found)).rglob("*.parquet")):
                return Path(str(found))
            reasons.append("it has no Parquet files")
    raise DataError(
        f"{name} is not in the hub's cache and could not be fetched ({reasons[-1]}); on a machine "
        f"with a network run 'tellapart fetch {name}', or give a folder of its Parquet files"
    )


def _choose_subset(name: str, folder: Path, subset: str | None) -> list[Path]:
    """Return the Parquet files of a subset, or all where there are none."""
    by_subset: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*.parquet")):
        parts = path.relative_to(folder).parts[:-1]
        named = [part for part in parts if part != "data" and not find_role(part)]
        by_subset[named[0] if named else ""].append(path)
    if subset is None and len(by_subset) == 1:
        return next(iter(by_subset.values()))
    if subset is None or subset not in by_subset:
        whole = "/".join(name.split("/")[:2])
        known = ", ".join(f"{whole}/{one}" if one else whole for one in sorted(by_subset))
        raise DataError(f"a subset of {whole} must be one of {known}; give that")
    return by_subset[subset]
