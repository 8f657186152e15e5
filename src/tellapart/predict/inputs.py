"""What is to be classified: files, folders, patterns, tables, archives, or what a program has."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.config import ReadSettings
from tellapart.data.archives import is_archive, scan_archive
from tellapart.data.content import BytesContent, Content, FileContent
from tellapart.data.listing import Listing, show_name
from tellapart.data.tables import TABLES, Source, find_beside, find_column, find_images, read_table
from tellapart.data.tree import scan_folder
from tellapart.device import measure_free_memory
from tellapart.errors import DataError
from tellapart.workspace import expand_path

ANY = ReadSettings(label_from=r"^.*$")
"""Reads every image of a folder or archive, whatever its folders are called."""


@dataclass(frozen=True)
class Item:
    """One image: how it is shown, where its bytes lie, and its class where that is said."""

    name: str
    content: Content
    label: str = ""


@dataclass(frozen=True)
class Missing:
    """An image that a table names and that is not there."""

    @property
    def path(self) -> str:
        return ""

    def open(self) -> Any:
        raise DataError("not there")


def list_items(images: object) -> list[Item]:
    """Return the images of paths, or of what a program has, in the order in which they are given.

    Args:
        images: a path or pattern, or several: a file, a folder (all images below it), a table with
            a column of paths, a zip or tar file; a PIL image; an array of (n, height, width),
            (n, height, width, 1) or (n, height, width, 3); bytes of a file; several of these.

    Raises:
        DataError: there are no images, or no such path.
    """
    if isinstance(images, Item):
        return [images]
    if isinstance(images, str | Path):
        return _list_place(str(images))
    if isinstance(images, bytes):
        return [Item("image", BytesContent(images))]
    if isinstance(images, np.ndarray):
        return [Item(f"row {row}", _hold(image)) for row, image in enumerate(_check_array(images))]
    if hasattr(images, "tobytes") and hasattr(images, "mode"):
        return [Item("image", _hold(images))]
    if not isinstance(images, Iterable):
        raise DataError(f"images are paths, arrays, PIL images or bytes, but got {images!r:.60}")
    found = [item for one in images for item in list_items(one)]
    if not found:
        raise DataError("there must be an image to classify, but got none")
    plain = {"image", "row 0"}
    return [
        Item(f"image {number}", item.content) if item.name in plain else item
        for number, item in enumerate(found)
    ]


def _list_place(given: str) -> list[Item]:
    path = expand_path(given)
    if path.is_dir():
        return _take(scan_folder(path, ANY), f"{given.rstrip('/')}/")
    if path.exists():
        if is_archive(path):
            return _take(scan_archive(path, ANY, measure_free_memory() // 4), f"{given}/")
        if path.suffix.lower() in TABLES:
            return _list_table(path, given)
        return [Item(show_name(given), FileContent(path), show_name(path.absolute().parent.name))]
    if names := sorted(glob.glob(str(path), recursive=True)):
        return [item for name in names for item in _list_place(name)]
    raise DataError(f"images must be there, but {show_name(given)} is not; mend the path")


def _take(listing: Listing, before: str) -> list[Item]:
    if not listing.files:
        others = f", only {listing.others.total():,} other files" if listing.others else ""
        raise DataError(f"{listing.place} must have images, but has none{others}; give another")
    return [
        Item(show_name(f"{before}{file.shown}"), file.content, _find_class(file.shown, before))
        for file in listing.files
    ]


def _find_class(shown: str, before: str) -> str:
    """Return the name of the folder that an image lies in."""
    parts = f"{before}{shown}".split("/")
    return parts[-2] if len(parts) > 1 else ""


def _list_table(path: Path, given: str) -> list[Item]:
    find = find_beside(path.resolve().parent, ReadSettings(follow_links=True))
    table = read_table(Source(path.name, FileContent(path), find))
    column = find_column(table, "image", None)
    if column is None:
        known = ", ".join([*table.columns, *table.cells])
        raise DataError(f"{given} must have a column image or file, but has {known}; rename one")
    label = find_column(table, "label", None)
    labels = table.columns[label] if label in table.columns else [""] * table.count
    if column in table.cells:
        names = [f"row {row}" for row in range(table.count)]
        contents: Sequence[Content | None] = table.cells[column]
    else:
        names = table.columns[column]
        contents = find_images(table, names)
    return [
        Item(show_name(name), content or Missing(), own)
        for name, content, own in zip(names, contents, labels, strict=True)
    ]


def _check_array(images: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    kinds = (
        (np.uint8, np.uint16, np.float32)
        if images.ndim == 3 or images.shape[-1] == 1
        else (np.uint8,)
    )
    if images.dtype not in kinds or not fits:
        raise DataError(
            "arrays of images must be (n, height, width) or (n, height, width, 1) uint8, uint16 or "
            f"float32, or (n, height, width, 3) uint8, but got {images.shape} {images.dtype}; "
            "convert them"
        )
    yield from images


def _hold(image: Any) -> BytesContent:
    """Return an array or a PIL image as the bytes of a file without loss."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        image = Image.fromarray(
            image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
        )
    stream = io.BytesIO()
    if image.mode in ("F", "I"):
        image.save(stream, "TIFF")
    else:
        image.save(stream, "PNG", compress_level=1)
    return BytesContent(stream.getvalue())
