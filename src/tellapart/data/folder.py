"""A folder of images: every file checked once, small pixels held in memory where they fit."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tellapart.data.dataset import (
    ArraySource,
    Dataset,
    ImageSource,
    Indices,
    Pixels,
    write_pixels,
)
from tellapart.data.decode import GREY_MODES, MOST_BYTES, decode_image, read_header
from tellapart.data.tree import LAYOUT, ImageFile, Tree, scan_tree, show_name, sort_naturally
from tellapart.device import count_cores, measure_free_memory
from tellapart.errors import DataError, suggest_name
from tellapart.records import Excluded
from tellapart.stop import check_stop

MOST_SIZE = 64
LEAST_SIZE = 8


class FileSource:
    """Images in files, decoded when read; at the chosen size they may be held in memory.

    Args:
        paths: one file per image.
        image_size: the chosen side, in pixels.
        channels: 1 or 3.
        held: has (n, image_size, image_size, channels) uint8; None to decode at each read.
    """

    def __init__(
        self, paths: Sequence[Path], image_size: int, channels: int, held: ArraySource | None = None
    ) -> None:
        shape = (len(paths), image_size, image_size, channels)
        assert held is None or held.pixels.shape == shape
        self.paths = tuple(paths)
        self.image_size = image_size
        self.channels = channels
        self.held = held
        self.streamed = held is None

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        """Return images as (k, size, size, channels) uint8; ``size`` is the chosen one if None.

        Raises:
            DataError: a file is gone, or has changed so that it cannot be read.
        """
        side = size or self.image_size
        if self.held is not None and side == self.image_size:
            return self.held.read(indices)
        pixels = np.empty((len(indices), side, side, self.channels), np.uint8)

        def decode_one(position: int) -> None:
            path = self.paths[int(indices[position])]
            pixels[position] = decode_image(path, side, self.channels)

        with ThreadPoolExecutor(count_cores()) as pool:
            list(pool.map(decode_one, range(len(indices))))
        return pixels

    def resize(self, size: int) -> ImageSource:
        return FileSource(self.paths, size, self.channels)

    def share(self, path: Path) -> ImageSource:
        if self.held is None:
            return self
        held = write_pixels(self.held.pixels, path)
        return FileSource(self.paths, self.image_size, self.channels, held)


@dataclass(frozen=True)
class _Checked:
    """What the first look at a file says."""

    width: int
    height: int
    mode: str
    digest: str


def load_folder(root: Path, memory_limit: int | None = None) -> Dataset:
    """Read a folder of images: ``<class>/...``, or ``train|val|test/<class>/...``.

    Every file is decoded once here; those that cannot be are left out and named in
    ``excluded``.

    Args:
        root: the folder.
        memory_limit: bytes of pixels that may be held; a quarter of the free memory if None.

    Raises:
        DataError: no images, fewer than two classes, or a class that train does not have.
    """
    tree = scan_tree(root)
    checked = _check_files(tree)
    if not tree.files:
        raise DataError(f"{root} has no readable images{_say_excluded(tree)}; {LAYOUT}")
    size, reason = choose_size([min(item.width, item.height) for item in checked])
    channels = 1 if all(item.mode in GREY_MODES for item in checked) else 3
    limit = measure_free_memory() // 4 if memory_limit is None else memory_limit
    fits = len(checked) * size * size * channels <= limit
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

    def check_one(file: ImageFile) -> _Checked | str:
        check_stop()
        try:
            if file.path.stat().st_size > MOST_BYTES:
                return f"a file of over {MOST_BYTES:,} bytes"
            content = file.path.read_bytes()
            width, height, mode = read_header(content)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        except DataError as error:
            return str(error)
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        return _Checked(width, height, mode, digest)

    with _strict_pillow(), ThreadPoolExecutor(count_cores()) as pool:
        found = list(pool.map(check_one, tree.files))
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
            pixels = decode_image(tree.files[position].path.read_bytes(), size, channels)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        except DataError as error:
            return str(error)
        if held is not None:
            held[position] = pixels
        return None

    with _strict_pillow(), ThreadPoolExecutor(count_cores()) as pool:
        found = list(pool.map(decode_one, range(len(checked))))
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
def _strict_pillow() -> Iterator[None]:
    """Make a decompression bomb an error, and keep remarks on odd metadata quiet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _name_classes(root: Path, tree: Tree) -> tuple[str, ...]:
    names = {file.class_name for file in tree.files}
    if not names:
        raise DataError(f"{root} has no readable images{_say_excluded(tree)}; {LAYOUT}")
    if len(names) < 2:
        raise DataError(
            f"{root} must have two classes or more, but has one ({names.pop()}); {LAYOUT}. "
            "If the classes lie one folder deeper, give that folder"
        )
    trained = {file.class_name for file in tree.files if file.role in ("", "train")}
    if not trained:
        raise DataError(
            f"{root} has no images to train on, only "
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


def _say_excluded(tree: Tree) -> str:
    if not tree.excluded:
        return ""
    first = tree.excluded[0]
    return f" ({len(tree.excluded):,} left out, such as {first.path}: {first.reason})"
