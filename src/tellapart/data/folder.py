"""A folder of images: every file checked once, small pixels held in memory where they fit."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from tellapart.data.dataset import (
    ArraySource,
    Dataset,
    ImageSource,
    Indices,
    Pixels,
    write_pixels,
)
from tellapart.data.decode import GREY_MODES, decode_image, open_content, read_header
from tellapart.data.layout import LAYOUT
from tellapart.data.tree import (
    Tree,
    say_left_out,
    scan_tree,
    show_name,
    sort_naturally,
)
from tellapart.device import count_cores, measure_free_memory
from tellapart.errors import DataError, suggest_name
from tellapart.records import Excluded
from tellapart.stop import check_stop

Result = TypeVar("Result")

MOST_SIZE = 64
LEAST_SIZE = 8


class FileSource:
    """Images in files, decoded when read; at the chosen size they may be held in memory.

    Args:
        paths: one file per image.
        hashes: of each file's bytes, as they were when the data were loaded.
        image_size: the chosen side, in pixels.
        channels: 1 or 3.
        held: has (n, image_size, image_size, channels) uint8; None to decode at each read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        hashes: Sequence[str],
        image_size: int,
        channels: int,
        held: ArraySource | None = None,
    ) -> None:
        shape = (len(paths), image_size, image_size, channels)
        assert len(paths) == len(hashes)
        assert held is None or held.pixels.shape == shape
        self.paths = tuple(paths)
        self.hashes = tuple(hashes)
        self.image_size = image_size
        self.channels = channels
        self.held = held
        self.streamed = held is None

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
                pixels[position] = decode_file(path, self.hashes[row], side, self.channels)
            except DataError as error:
                name = show_name(f"{path.parent.name}/{path.name}")
                raise DataError(f"{name}: {error}; restore it, or start again") from error

        with _end_where_reading_fails():
            _work_through(decode_one, len(indices))
        return pixels

    def resize(self, size: int) -> ImageSource:
        return FileSource(self.paths, self.hashes, size, self.channels)

    def share(self, path: Path) -> ImageSource:
        if self.held is None:
            return self
        held = write_pixels(self.held.pixels, path)
        return FileSource(self.paths, self.hashes, self.image_size, self.channels, held)


def decode_file(path: Path, digest: str, size: int, channels: int) -> Pixels:
    """Decode an image to (size, size, channels) uint8, if its file still has the hash ``digest``.

    Raises:
        DataError: the file is gone, has changed, or cannot be decoded.
    """
    with open_content(path) as content:
        if _hash_content(content) != digest:
            raise DataError("its content has changed since it was first read")
        return decode_image(content, size, channels)


def _hash_content(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _work_through(function: Callable[[int], Result], count: int) -> list[Result]:
    """Call a function with each number below ``count``, on all cores."""
    with ThreadPoolExecutor(count_cores()) as pool:
        return list(pool.map(function, range(count)))


@contextmanager
def _end_where_reading_fails() -> Iterator[None]:
    """Make a failure that says nothing of the file, such as too many open ones, a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{show_name(str(error.filename or 'a file of the data'))} cannot be read now "
            f"({error.strerror or error}), which is no fault of its own; mend that, and start "
            "the same command again"
        ) from error


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
    with _end_where_reading_fails():
        tree = scan_tree(root, follow_links)
        checked = _check_files(tree)
    if not tree.files:
        raise DataError(_say_nothing(root, tree))
    size, reason = choose_size([min(item.width, item.height) for item in checked])
    channels = 1 if all(item.mode in GREY_MODES for item in checked) else 3
    limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
    fits = len(checked) * size * size * channels <= limit
    with _end_where_reading_fails():
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
                return _Checked(*read_header(content), _hash_content(content))
        except DataError as error:
            return str(error)

    with _quiet_pillow():
        found = _work_through(check_one, len(tree.files))
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
        found = _work_through(decode_one, len(checked))
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
