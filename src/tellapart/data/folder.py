"""A folder of images: every file checked once, small pixels held in memory where they fit."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tellapart.data.dataset import ArraySource, Dataset, Pixels
from tellapart.data.decode import GREY_MODES, open_content, read_header
from tellapart.data.files import (
    FileSource,
    decode_file,
    end_where_reading_fails,
    hash_content,
    work_through,
)
from tellapart.data.layout import LAYOUT
from tellapart.data.tree import Tree, say_left_out, scan_tree, show_name, sort_naturally
from tellapart.device import measure_free_memory, return_memory
from tellapart.errors import DataError, suggest_name
from tellapart.records import Excluded
from tellapart.stop import check_stop

MOST_SIZE = 64
LEAST_SIZE = 8


class _Header(NamedTuple):
    """What the first look at a file says."""

    width: int
    height: int
    mode: str
    digest: str


def load_folder(root: Path, memory_limit: int | None = None, follow_links: bool = False) -> Dataset:
    """Read a folder of images: ``<class>/...``, or ``train|val|test/<class>/...``.

    Every file is decoded once here; those that cannot be are left out and named in
    ``excluded``.

    Args:
        root: the folder.
        memory_limit: bytes of pixels that may be held; a quarter of the free memory if None.
        follow_links: whether links that lead out of the folder are followed.

    Raises:
        DataError: no images, fewer than two classes, or a class that train does not have.
    """
    return_memory()
    with end_where_reading_fails():
        tree = scan_tree(root, follow_links)
    headers = _read_headers(tree)
    if not tree.files:
        raise DataError(_say_nothing(root, tree))
    size, reason = choose_size([min(header.width, header.height) for header in headers])
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
    shape = (len(headers), size, size, channels)
    held = np.empty(shape, np.uint8) if math.prod(shape) <= limit else None
    kept = _decode_files(tree, headers, size, channels, held)
    headers = [headers[number] for number in kept]
    if held is not None:
        for place, number in enumerate(kept):  # in place: the pixels are not held twice
            held[place] = held[number]
        held = held[: len(kept)]
    classes = _name_classes(root, tree)
    index = {name: number for number, name in enumerate(classes)}
    name = show_name(root.resolve().name)
    return Dataset(
        name=re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "images",
        origin=f"folder {name}: {len(headers):,} images in {len(classes)} class folders",
        classes=classes,
        labels=np.array([index[file.class_name] for file in tree.files], np.int64),
        source=FileSource(
            [file.path for file in tree.files],
            [header.digest for header in headers],
            size,
            channels,
            None if held is None else ArraySource(held),
        ),
        hashes=tuple(header.digest for header in headers),
        roles=tuple(file.role for file in tree.files),
        image_size=size,
        size_reason=reason,
        channels=channels,
        sizes=dict(Counter(f"{header.width}x{header.height}" for header in headers).most_common()),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        notes=(*tree.notes, *_note_missing(tree, classes)),
        excluded=tuple(tree.excluded),
        files=tuple(file.shown for file in tree.files),
        folder=os.fsencode(root.resolve()).decode("utf-8", "backslashreplace"),
    )


def choose_size(shorter_sides: Sequence[int]) -> tuple[int, str]:
    """Choose the side that networks from scratch see, in pixels, and say why.

    >>> choose_size([28, 28, 30])
    (28, "28 px: the images' shorter sides are 28 px (median)")
    """
    median = int(np.median(shorter_sides))
    size = min(max(median, LEAST_SIZE), MOST_SIZE)
    size -= size % 4 if size >= 16 else 0
    reason = f"{size} px: the images' shorter sides are {median} px (median)"
    if median > MOST_SIZE:
        reason += f", and networks from scratch see at most {MOST_SIZE} px"
    elif median < LEAST_SIZE:
        reason += f", and networks from scratch see at least {LEAST_SIZE} px"
    elif median != size:
        reason += ", rounded down to a multiple of 4"
    return size, reason


def _read_headers(tree: Tree) -> list[_Header]:
    """Read the header of every file and hash it; leave out what has no readable header."""
    found: dict[int, _Header] = {}

    def read_one(number: int) -> None:
        with open_content(tree.files[number].path) as content:
            found[number] = _Header(*read_header(content), hash_content(content))

    return [found[number] for number in _try_files(tree, read_one)]


def _decode_files(
    tree: Tree, headers: list[_Header], size: int, channels: int, held: Pixels | None
) -> list[int]:
    """Decode every file in full, into ``held`` if given; return the numbers of the good ones."""

    def decode_one(number: int) -> None:
        pixels = decode_file(tree.files[number].path, headers[number].digest, size, channels)
        if held is not None:
            held[number] = pixels

    return _try_files(tree, decode_one)


def _try_files(tree: Tree, function: Callable[[int], None]) -> list[int]:
    """Call a function with each file's number; leave out those that it refuses, with the reason.

    Returns:
        the numbers, as they were, of the files that are left.
    """
    reasons: dict[int, str] = {}

    def try_one(number: int) -> None:
        check_stop()
        try:
            function(number)
        except DataError as error:
            reasons[number] = str(error)

    with warnings.catch_warnings(), end_where_reading_fails():
        # odd metadata are no news, and images of too many pixels are refused with their size
        warnings.filterwarnings("ignore", module=r"PIL\.")
        work_through(try_one, len(tree.files))
    for number in sorted(reasons):
        tree.excluded.append(Excluded(path=tree.files[number].shown, reason=reasons[number]))
    kept = [number for number in range(len(tree.files)) if number not in reasons]
    tree.files = [tree.files[number] for number in kept]
    return kept


def _name_classes(root: Path, tree: Tree) -> tuple[str, ...]:
    names = {file.class_name for file in tree.files}
    if not names:
        raise DataError(_say_nothing(root, tree))
    if len(names) < 2:
        raise DataError(
            f"{show_name(str(root))} must have two classes or more, but has one "
            f"({names.pop()}){say_left_out(tree)}; {LAYOUT}. If the classes lie one folder deeper, "
            "give that folder"
        )
    trained = {file.class_name for file in tree.files if file.role in ("", "train")}
    if not trained:
        raise DataError(
            f"{show_name(str(root))} has no images to train on, only "
            f"{' and '.join(sorted({file.role for file in tree.files}))}; add a folder train"
        )
    for file in tree.files:
        if file.class_name not in trained:
            raise DataError(
                f"every class must have images in train, but {file.class_name!r} has some in "
                f"{file.role} only{suggest_name(file.class_name, sorted(trained))}; "
                "rename or remove that folder, or add it to train"
            )
    return tuple(sorted(names, key=sort_naturally))


def _note_missing(tree: Tree, classes: Sequence[str]) -> list[str]:
    notes = []
    for role in ("val", "test"):
        present = {file.class_name for file in tree.files if file.role == role}
        missing = [name for name in classes if name not in present]
        if present and missing:
            notes.append(f"{role} has no images of: {', '.join(missing)}")
    return notes


def _say_nothing(root: Path, tree: Tree) -> str:
    return f"{show_name(str(root))} has no readable images{say_left_out(tree)}; {LAYOUT}"
