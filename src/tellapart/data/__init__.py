"""From a name or a folder to a dataset: one function, :func:`load_images`."""

from __future__ import annotations

import os
from pathlib import Path

from tellapart.data.dataset import Dataset
from tellapart.data.download import Progress
from tellapart.data.folder import load_folder
from tellapart.data.named import NAMED, fetch_named, load_named
from tellapart.errors import DataError, suggest_name
from tellapart.workspace import expand_path

__all__ = ["NAMED", "Dataset", "fetch_data", "load_images"]


def load_images(
    data: str | Path,
    data_dir: str | Path | None = None,
    download: bool = True,
    progress: Progress | None = None,
    memory_limit: int | None = None,
    follow_links: bool = False,
) -> Dataset:
    """Read labelled images, by name or from a folder of class folders.

    Args:
        data: a name such as ``digits`` or ``cifar10``, or a folder; ``./digits`` and
            ``Path("digits")`` are the folder of that name.
        data_dir: where named data lie; None for the usual places.
        download: whether named data may be downloaded if they are nowhere found.
        progress: called with bytes done and in all while downloading.
        memory_limit: bytes of a folder's pixels that may be held; a quarter of the free memory if
            None. Beyond it they are decoded at each read.
        follow_links: whether links that lead out of the folder are followed; else they are left
            out, and noted.

    Raises:
        DataError: an unknown name, no such folder, or images that cannot be used.

    >>> load_images("digits").classes[:3]
    ('0', '1', '2')
    """
    name, folder = str(data), expand_path(data)
    marks = (os.sep, os.altsep or os.sep)
    path = isinstance(data, Path) or name.startswith((".", "~")) or any(m in name for m in marks)
    if name in NAMED and not path:
        place = None if data_dir is None else Path(data_dir)
        return load_named(name, place, download, progress)
    if name and folder.is_dir():
        return load_folder(folder, memory_limit, follow_links)
    if name and folder.exists():
        raise DataError(f"DATA must be a name or a folder, but {name} is a file; give its folder")
    if path:
        raise DataError(f"DATA must be a name or a folder, but the folder {name} does not exist")
    raise DataError(f"{_list_known(name)}, or give a folder")


def fetch_data(name: str, progress: Progress | None = None) -> Path | None:
    """Download named data ahead; return the file or its folder, or None if nothing is needed.

    Raises:
        DataError: an unknown name, no network, or no space.
    """
    if name not in NAMED:
        raise DataError(_list_known(name))
    return fetch_named(name, progress)


def _list_known(name: str) -> str:
    return f"{name!r} is not known{suggest_name(name, NAMED)}; give one of {', '.join(NAMED)}"
