"""A folder of images: every file checked once, small pixels held in memory where they fit."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class _Checked:
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
        checked = _check_files(tree)
    if not tree.files:
        raise DataError(_say_nothing(root, tree))
    size, reason = choose_size([min(item.width, item.height) for item in checked])
    channels = 1 if all(item.mode in GREY_MODES for item in checked) else 3
    limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
    fits = len(checked) * size * size * channels <= limit
    with end_where_reading_fails():
        checked, held = _decode_files(tree, checked, size, channels, fits)
    classes = _name_classes(root, tree)
    index = {name: number for number, name in enumerate(classes)}
    name = show_name(root.resolve().name)
    return Dataset(
        name=re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "images",
        origin=f"folder {name}: {len(checked):,} images in {len(classes)} class folders",
        classes=classes,
        labels=np.array([index[file.class_name] for file in tree.files], np.int64),
        source=FileSource(
            [file.path for file in tree.files],
            [item.digest for item in checked],
            size,
            channels,
            None if held is None else ArraySource(held),
        ),
        hashes=tuple(item.digest for item in checked),
        roles=tuple(file.role for file in tree.files),
        image_size=size,
        size_reason=reason,
        channels=channels,
        sizes=dict(Counter(f"{item.width}x{item.height}" for item in checked).most_common()),
        modes=dict(Counter(item.mode for item in checked).most_common()),
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


def _check_files(tree: Tree) -> list[_Checked]:
    """Look at every header and hash every file; leave out what has no readable header."""

    def check_one(number: int) -> _Checked | str:
        check_stop()
        try:
            with open_content(tree.files[number].path) as content:
                return _Checked(*read_header(content), hash_content(content))
        except DataError as error:
            return str(error)

    with _quiet_pillow():
        found = work_through(check_one, len(tree.files))
    _leave_out(tree, {n: item for n, item in enumerate(found) if isinstance(item, str)})
    return [item for item in found if isinstance(item, _Checked)]


def _decode_files(
    tree: Tree, checked: list[_Checked], size: int, channels: int, fits: bool
) -> tuple[list[_Checked], Pixels | None]:
    """Decode every file in full; keep the pixels if they fit, leave out what cannot be read."""
    held = np.empty((len(checked), size, size, channels), np.uint8) if fits else None

    def decode_one(position: int) -> str | None:
        check_stop()
        try:
            path, digest = tree.files[position].path, checked[position].digest
            pixels = decode_file(path, digest, size, channels)
        except DataError as error:
            return str(error)
        if held is not None:
            held[position] = pixels
        return None

    with _quiet_pillow():
        found = work_through(decode_one, len(checked))
    bad = {number: reason for number, reason in enumerate(found) if reason is not None}
    if not bad:
        return checked, held
    _leave_out(tree, bad)
    kept = [number for number in range(len(checked)) if number not in bad]
    if held is not None:
        for place, number in enumerate(kept):  # in place: the pixels are not held twice
            held[place] = held[number]
        held = held[: len(kept)]
    return [checked[number] for number in kept], held


def _leave_out(tree: Tree, bad: dict[int, str]) -> None:
    tree.excluded += [
        Excluded(path=tree.files[number].shown, reason=reason) for number, reason in bad.items()
    ]
    tree.files = [file for number, file in enumerate(tree.files) if number not in bad]


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep remarks on odd metadata quiet, and on many pixels: they are refused, with their size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


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
