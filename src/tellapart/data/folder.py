"""A folder of images: every file checked once, small pixels held in memory where they fit."""

from __future__ import annotations

import hashlib
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from tellapart.data.dataset import ArraySource, Dataset, ImageSource, Indices, Pixels
from tellapart.data.decode import GREY_MODES, decode_image, open_content, read_header
from tellapart.data.layout import LAYOUT
from tellapart.data.tree import Tree, say_left_out, scan_tree, show_name, sort_naturally
from tellapart.device import count_cores, measure_free_memory, return_memory
from tellapart.errors import DataError, suggest_name
from tellapart.records import Excluded
from tellapart.stop import check_stop

MOST_SIZE = 64
LEAST_SIZE = 8

Found = TypeVar("Found")


class _Header(NamedTuple):
    """What the first look at a file says."""

    width: int
    height: int
    mode: str
    digest: str


@dataclass(frozen=True, eq=False)
class FileSource:
    """Images in files, decoded when read, as long as their content is what was hashed at first."""

    paths: Sequence[Path]
    hashes: Sequence[str]  # of each file's bytes, as they were when the data were loaded
    image_size: int  # the chosen side, in pixels
    channels: int  # 1 or 3
    held: ArraySource | None = None  # the pixels at that size; None to decode at each read

    @property
    def streamed(self) -> bool:
        return self.held is None

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        """Return images as (k, size, size, channels) uint8; ``size`` is the chosen one if None.

        Raises:
            DataError: a file is gone, or is not what it was when the data were loaded.
        """
        side = size or self.image_size
        if self.held is not None and side == self.image_size:
            return self.held.read(indices)
        pixels = np.empty((len(indices), side, side, self.channels), np.uint8)

        def decode_one(position: int) -> None:
            row = int(indices[position])
            path = self.paths[row]
            try:
                pixels[position] = _decode_file(path, self.hashes[row], side, self.channels)
            except DataError as error:
                name = show_name(f"{path.parent.name}/{path.name}")
                raise DataError(f"{name}: {error}; restore it, or start again") from error

        _work_through(decode_one, len(indices))
        return pixels

    def resize(self, size: int) -> ImageSource:
        return replace(self, image_size=size, held=None)

    def share(self, path: Path) -> ImageSource:
        return self if self.held is None else replace(self, held=self.held.share(path))


def load_folder(root: Path, memory_limit: int | None = None, follow_links: bool = False) -> Dataset:
    """Read a folder of images: ``<class>/...``, or ``train|val|test/<class>/...``.

    Every file is decoded once here; those that cannot be are left out and named in
    ``excluded``.

    Args:
        memory_limit: bytes of pixels that may be held; a quarter of the free memory if None.
        follow_links: whether links that lead out of the folder are followed.

    Raises:
        DataError: no images, fewer than two classes, or a class that train does not have.
    """
    return_memory()
    with _end_where_reading_fails():
        tree = scan_tree(root, follow_links)

    def read_one(number: int) -> _Header:
        with open_content(tree.files[number].path) as content:
            return _Header(*read_header(content), _hash_content(content))

    headers = _try_files(tree, read_one)
    size, reason = choose_size([min(header.width, header.height) for header in headers])
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
    shape = (len(headers), size, size, channels)
    held = np.empty(shape, np.uint8) if math.prod(shape) <= limit else None

    def decode_one(number: int) -> int:
        pixels = _decode_file(tree.files[number].path, headers[number].digest, size, channels)
        if held is not None:
            held[number] = pixels
        return number

    kept = _try_files(tree, decode_one)
    if len(kept) < len(headers):
        headers = [headers[number] for number in kept]
        held = None if held is None else held[kept]
    classes = _name_classes(tree)
    index = {name: number for number, name in enumerate(classes)}
    hashes = tuple(header.digest for header in headers)
    name = show_name(root.resolve().name)
    return Dataset(
        name=re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "images",
        origin=f"folder {name}: {len(headers):,} images in {len(classes)} class folders",
        classes=classes,
        labels=np.array([index[file.class_name] for file in tree.files], np.int64),
        source=FileSource(
            [file.path for file in tree.files],
            hashes,
            size,
            channels,
            None if held is None else ArraySource(held),
        ),
        hashes=hashes,
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


def _decode_file(path: Path, digest: str, size: int, channels: int) -> Pixels:
    with open_content(path) as content:
        if _hash_content(content) != digest:
            raise DataError("its content has changed since it was first read")
        return decode_image(content, size, channels)


def _hash_content(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _work_through(function: Callable[[int], Found], count: int) -> list[Found]:
    """Call a function with each number below ``count``, on all cores."""
    with _end_where_reading_fails(), ThreadPoolExecutor(count_cores()) as pool:
        return list(pool.map(function, range(count)))  # raises what the first failure did


@contextmanager
def _end_where_reading_fails() -> Iterator[None]:
    """Make a failure that says nothing of the file, such as too many open ones, a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{show_name(str(error.filename or 'a file of the data'))} could not be read just now "
            f"({error.strerror or error}); the file may be well, so start the same command again, "
            "and remove it if that does not help"
        ) from error


def _try_files(tree: Tree, function: Callable[[int], Found]) -> list[Found]:
    """Call a function with each file's number; leave out those that it refuses, with the reason."""

    def try_one(number: int) -> Found | DataError:
        check_stop()
        try:
            return function(number)
        except DataError as error:
            return error

    with warnings.catch_warnings():
        # odd metadata are no news, and images of too many pixels are refused with their size
        warnings.filterwarnings("ignore", module=r"PIL\.")
        results = _work_through(try_one, len(tree.files))
    files, found = [], []
    for file, result in zip(tree.files, results, strict=True):
        if isinstance(result, DataError):
            tree.excluded.append(Excluded(path=file.shown, reason=str(result)))
        else:
            files.append(file)
            found.append(result)
    tree.files = files
    if not files:
        raise DataError(f"{tree.place} has no readable images{say_left_out(tree)}; {LAYOUT}")
    return found


def _name_classes(tree: Tree) -> tuple[str, ...]:
    names = {file.class_name for file in tree.files}
    if len(names) < 2:
        raise DataError(
            f"{tree.place} must have two classes or more, but has one "
            f"({names.pop()}){say_left_out(tree)}; {LAYOUT}. If the classes lie one folder deeper, "
            "give that folder"
        )
    trained = {file.class_name for file in tree.files if file.role in ("", "train")}
    if not trained:
        raise DataError(
            f"{tree.place} has no images to train on, only "
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
