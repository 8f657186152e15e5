"""From a name or a folder to a dataset: one function, :func:`load_images`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tellapart.data.cifar import fetch_cifar10, load_cifar10
from tellapart.data.dataset import Dataset
from tellapart.data.digits import load_digits
from tellapart.data.download import Progress
from tellapart.data.folder import load_folder
from tellapart.errors import DataError, suggest_name
from tellapart.workspace import expand_path

__all__ = ["FETCHERS", "LOADERS", "Dataset", "fetch_data", "load_images"]

Loader = Callable[[Path | None, bool, Progress | None], Dataset]

LOADERS: dict[str, Loader] = {
    "digits": lambda data_dir, download, progress: load_digits(),
    "cifar10": load_cifar10,
}
"""Named data -> its loader: folder to look in, whether to download, progress."""

FETCHERS: dict[str, Callable[[Progress | None], Path]] = {"cifar10": fetch_cifar10}
"""Named data that can be downloaded ahead; the others are embedded."""


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
        data: ``digits``, ``cifar10``, or a folder; ``./digits`` and ``Path("digits")`` are the
            folder of that name.
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
    is_path = isinstance(data, Path)
    data, data_dir = str(data), None if data_dir is None else Path(data_dir)
    is_path = is_path or data.startswith((".", "~"))
    is_path = is_path or any(mark in data for mark in (os.sep, os.altsep or os.sep))
    if data in LOADERS and not is_path:
        return LOADERS[data](data_dir, download, progress)
    folder = expand_path(data)
    if data and folder.is_dir():
        return load_folder(folder, memory_limit, follow_links)
    if data and folder.exists():
        raise DataError(f"DATA must be a name or a folder, but {data} is a file; give its folder")
    if is_path:
        raise DataError(f"DATA must be a name or a folder, but the folder {data} does not exist")
    raise DataError(
        f"DATA {data!r} is not known{suggest_name(data, LOADERS)}; "
        f"give one of {', '.join(LOADERS)}, or give a folder"
    )


def fetch_data(name: str, progress: Progress | None = None) -> Path | None:
    """Download named data ahead of time; return the file, or None where nothing is needed.

    Raises:
        DataError: an unknown name, no network, or no space.
    """
    if name not in LOADERS:
        raise DataError(
            f"{name!r} is not known{suggest_name(name, LOADERS)}; give one of {', '.join(LOADERS)}"
        )
    return FETCHERS[name](progress) if name in FETCHERS else None
