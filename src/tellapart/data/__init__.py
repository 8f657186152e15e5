"""From a name, a folder, a file or arrays to a dataset: one function, :func:`load_images`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tellapart.config import IN_ARRAYS, IN_TABLES, ReadSettings
from tellapart.data.archives import ARCHIVES, is_archive, scan_archive
from tellapart.data.arrays import ARRAYS, load_arrays
from tellapart.data.content import FileContent
from tellapart.data.copies import recall_copies
from tellapart.data.dataset import Dataset
from tellapart.data.download import Progress
from tellapart.data.exclude import exclude_images
from tellapart.data.hub import SCHEME, fetch_hub, load_hub
from tellapart.data.listing import Listing, show_name
from tellapart.data.loading import end_where_reading_fails, load_listing
from tellapart.data.named import NAMED, fetch_named, load_named
from tellapart.data.objects import load_objects
from tellapart.data.tables import TABLES, Source, find_beside, scan_tables
from tellapart.data.tree import scan_folder
from tellapart.device import measure_free_memory
from tellapart.errors import DataError, suggest_name
from tellapart.workspace import expand_path

__all__ = ["NAMED", "Dataset", "fetch_data", "load_images"]


def load_images(
    data: str | Path | object,
    data_dir: str | Path | None = None,
    read: ReadSettings | None = None,
    download: bool = True,
    progress: Progress | None = None,
    memory_limit: int | None = None,
) -> Dataset:
    """Read labelled images, by name, or from a folder, a table, an archive or arrays.

    Args:
        data: a name such as ``digits`` or ``cifar10``; ``hf:OWNER/NAME`` of the hub; a folder; a
            table of images and labels (CSV, TSV, JSON lines, Parquet); a zip or tar file; a file of
            arrays. ``./digits`` and ``Path("digits")`` are the folder of that name. Or what a
            program has: arrays (images, labels) of (n, height, width, channels) and (n,), or
            (images, labels, groups), a pair of such (train and test), such by split, a DataFrame,
            or the hub's datasets.
        data_dir: where named data lie; None for the usual places.
        read: what the classes and groups of images are, and what is left out.
        download: whether named data may be downloaded if they are nowhere found.
        progress: called with bytes done and in all while downloading.
        memory_limit: bytes of pixels that may be held; a quarter of the free memory if None.
            Beyond it files are decoded at each read.

    Raises:
        DataError: an unknown name, no such folder, or images that cannot be used.

    >>> load_images("digits").classes[:3]
    ('0', '1', '2')
    """
    settings = read or ReadSettings()
    with end_where_reading_fails():
        limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
        if not isinstance(data, str | Path):
            found = load_objects(data, settings, limit)
        elif data in NAMED:  # and not a Path
            settings.refuse_unused((), str(data))
            where = None if data_dir is None else Path(data_dir)
            found = load_named(str(data), where, download, progress)
        elif str(data).startswith(SCHEME):
            settings.refuse_unused(IN_TABLES, str(data))
            hub = load_hub(str(data), settings, download, limit)
            found = replace(hub, folder=str(data))
        else:
            found = _load_place(str(data), isinstance(data, Path), settings, limit)
        if settings.exclude is not None:
            found = exclude_images(found, expand_path(settings.exclude))
        places = {"images": settings.images, "exclude": settings.exclude}
        whole = {name: expand_path(path).resolve() for name, path in places.items() if path}
        found = replace(found, read=settings.model_copy(update=whole))
        return replace(found, copies=recall_copies(found))


def _load_place(name: str, is_path: bool, settings: ReadSettings, limit: int) -> Dataset:
    """Read a folder or a file."""
    place = expand_path(name)
    suffix = place.suffix.lower()
    if name and place.is_dir():
        return load_listing(scan_folder(place, settings), place, settings, limit)
    if name and place.exists():
        if is_archive(place):
            return load_listing(scan_archive(place, settings, limit), place, settings, limit)
        if suffix in ARRAYS:
            settings.refuse_unused(IN_ARRAYS, name)
            return load_arrays(place, settings, limit)
        if suffix in TABLES:
            settings.refuse_unused(IN_TABLES, name)
            listing = Listing(show_name(name), "table")
            find = find_beside(place.parent, settings)
            scan_tables([Source(place.name, FileContent(place), find)], listing, settings)
            return load_listing(listing, place, settings, limit)
        raise DataError(
            f"DATA must be a name, a folder, or a file that ends in "
            f"{', '.join((*TABLES, *ARRAYS, *ARCHIVES))}, but got {name}; give its folder, unpacked"
        )
    marks = (os.sep, os.altsep or os.sep)
    if is_path or suffix or name.startswith((".", "~")) or any(mark in name for mark in marks):
        raise DataError(
            f"DATA must be a name, a folder or a file, but {name} does not exist; mend the path"
        )
    raise DataError(f"{_list_known(name)}, or give a folder")


def fetch_data(name: str, progress: Progress | None = None) -> Path | None:
    """Download named data ahead; return the file or its folder, or None if nothing is needed.

    Raises:
        DataError: an unknown name, no network, or no space.
    """
    if name.startswith(SCHEME):
        return fetch_hub(name)
    if name not in NAMED:
        raise DataError(_list_known(name))
    return fetch_named(name, progress)


def _list_known(name: str) -> str:
    return f"{name!r} is not known{suggest_name(name, NAMED)}; give one of {', '.join(NAMED)}"
