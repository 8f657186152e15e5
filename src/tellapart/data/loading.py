"""From a listing to a dataset: every file checked once, small pixels held where they fit."""

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

from tellapart.config import ReadSettings
from tellapart.data.content import Content
from tellapart.data.dataset import ArraySource, Dataset, ImageSource, Indices, Pixels
from tellapart.data.decode import GREY_MODES, GROUNDS, Look, decode_image, look_at
from tellapart.data.layout import LAYOUT
from tellapart.data.listing import (
    Listing,
    count_images,
    match_name,
    say_left_out,
    show_name,
    sort_naturally,
)
from tellapart.data.tone import PLAIN, Tone, choose_tone
from tellapart.device import count_cores, return_memory
from tellapart.errors import DataError, suggest_name
from tellapart.records import Excluded
from tellapart.stop import check_stop

MOST_SIZE = 64
LEAST_SIZE = 8

FILE_FACTS = ("width", "height", "mode", "bytes")
SINGLE = "single colour"
"""Facts of each image that are known of files, besides the columns of a table."""

TRACK = r"([^/]*\d)[_-]\d+\.\w+$"
"""Where a file's name has the number of a track, and of an image in it: 00012_00007.ppm."""

Found = TypeVar("Found")


class _Header(NamedTuple):
    """What the first look at a file says, the hash of its bytes, and how many these are."""

    look: Look
    digest: str
    length: int

    def hash_with(self, tone: Tone) -> str:
        """Return a hash of the content and of what the tone makes of it."""
        look = self.look
        changed = (
            (look.depth is not None and tone[:2] != PLAIN[:2])
            or (look.mode == "L" and tone.eight != PLAIN.eight)
            or (look.clear and tone.ground != PLAIN.ground)
        )
        return hash_toned(self.digest, tone) if changed else self.digest


NAMED = {255: "white", 0: "black", 128: "grey"}


@dataclass(frozen=True, eq=False)
class FileSource:
    """Images in files, decoded when read, as long as their content is what was hashed at first."""

    contents: Sequence[Content]
    names: Sequence[str]  # how each is shown
    hashes: Sequence[str]  # of each file's bytes, as they were when the data were loaded
    image_size: int  # the chosen side, in pixels
    channels: int  # 1 or 3
    tone: Tone = PLAIN
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
            try:
                pixels[position] = _decode(
                    self.contents[row], self.hashes[row], side, (self.channels, self.tone)
                )
            except DataError as error:
                raise DataError(
                    f"{self.names[row]}: {error}; restore it, or start again"
                ) from error

        _work_through(decode_one, len(indices))
        return pixels

    def resize(self, size: int) -> ImageSource:
        return replace(self, image_size=size, held=None)

    def share(self, path: Path) -> ImageSource:
        return self if self.held is None else replace(self, held=self.held.share(path))


def load_listing(
    listing: Listing, where: Path, settings: ReadSettings, memory_limit: int
) -> Dataset:
    """Read the images of a listing; those that cannot be are left out and named in ``excluded``.

    Args:
        where: what was listed, a folder or a file.
        memory_limit: bytes of pixels that may be held; beyond it files are decoded at each read.

    Raises:
        DataError: no images, fewer than two classes, or a class that train does not have.
    """
    return_memory()
    _group_files(listing, settings)

    def read_one(number: int) -> _Header:
        with listing.files[number].content.open() as content:
            return _Header(look_at(content), hash_content(content), len(content))

    headers = _try_files(listing, read_one)
    looks = [header.look for header in headers]
    if len({look.patient for look in looks}) > 1:  # one for all is a name that was taken out
        listing.files = [
            replace(file, group=file.group or look.patient)
            for file, look in zip(listing.files, looks, strict=True)
        ]
        listing.notes.append("images of one patient are a group, which no split divides")
    size, reason = choose_size([min(look.width, look.height) for look in looks])
    channels = 1 if all(look.mode in GREY_MODES for look in looks) else 3
    tone = _choose_tone(listing, looks)
    plain: list[int] = []
    shape = (len(headers), size, size, channels)
    held = np.empty(shape, np.uint8) if math.prod(shape) <= memory_limit else None

    def decode_one(number: int) -> int:
        content, digest = listing.files[number].content, headers[number].digest
        pixels = _decode(content, digest, size, (channels, tone))
        if (pixels == pixels[:1, :1]).all():
            plain.append(number)
        if held is not None:
            held[number] = pixels
        return number

    kept = _leave_small_out(listing, _try_files(listing, decode_one), settings.min_images)
    single = set(plain)
    if len(kept) < len(headers):
        headers = [headers[number] for number in kept]
        held = None if held is None else held[kept]
    classes = _name_classes(listing)
    index = {name: number for number, name in enumerate(classes)}
    hashes = tuple(header.hash_with(tone) for header in headers)
    looks = [header.look for header in headers]
    files, name = listing.files, show_name(where.resolve().name)
    return Dataset(
        name=re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "images",
        origin=f"{listing.kind} {name}: {len(headers):,} images of {len(classes)} classes",
        classes=classes,
        labels=np.array([index[file.class_name] for file in files], np.int64),
        source=FileSource(
            [file.content for file in files],
            [file.shown for file in files],
            [header.digest for header in headers],
            size,
            channels,
            tone,
            None if held is None else ArraySource(held),
        ),
        hashes=hashes,
        roles=tuple(file.role for file in files),
        image_size=size,
        size_reason=reason,
        channels=channels,
        sizes=dict(Counter(f"{look.width}x{look.height}" for look in looks).most_common()),
        modes=dict(Counter(look.mode for look in looks).most_common()),
        notes=(*listing.notes, *_note_missing(listing, classes)),
        excluded=tuple(listing.excluded),
        files=tuple(file.shown for file in files),
        folder=os.fsencode(where.resolve()).decode("utf-8", "backslashreplace"),
        names=tuple(file.group for file in files) if any(file.group for file in files) else (),
        facts={
            **{
                name: tuple(file.facts[place] for file in files)
                for place, name in enumerate(listing.columns)
            },
            "width": tuple(str(look.width) for look in looks),
            "height": tuple(str(look.height) for look in looks),
            "mode": tuple(look.mode for look in looks),
            "bytes": tuple(str(header.length) for header in headers),
            SINGLE: tuple("yes" if row in single else "no" for row in kept),
        },
    )


def _group_files(listing: Listing, settings: ReadSettings) -> None:
    """Name the groups of files as was asked, or note what their names may say of them."""
    pattern = r"^(.*)/" if settings.group == "parent" else settings.group_from
    if pattern is not None:
        listing.files = [
            replace(file, group=match_name(pattern, file.shown)) for file in listing.files
        ]
        single = [file.shown for file in listing.files if not file.group]
        if single and len(single) == len(listing.files):
            raise DataError(
                f"--group-from must match paths of images, but {pattern!r} matches no path, such "
                f"as {single[0]}; mend it"
            )
        if single:
            listing.notes.append(
                f"in no group, for {pattern!r} does not match their paths: "
                f"{count_images(len(single))}, such as {single[0]}"
            )
    elif not any(file.group for file in listing.files):
        tracks = Counter(match_name(TRACK, file.shown) for file in listing.files)
        alone = tracks.pop("", 0)
        classes = len({file.class_name for file in listing.files})
        if tracks and not alone and 2 * classes <= len(tracks) <= len(listing.files) / 3:
            listing.notes.append(
                f"names such as {listing.files[0].shown} may be of tracks or bursts; --group-from "
                f"'{TRACK}' makes {len(tracks):,} groups of them, which no split divides"
            )


def _choose_tone(listing: Listing, looks: Sequence[Look]) -> Tone:
    """Choose the scale of deep images and the ground of transparent ones, and note both."""
    clear = [look for look in looks if look.clear]
    vanishing = {one: sum(one in look.vanishing for look in clear) for one in GROUNDS}
    ground = min(GROUNDS, key=lambda one: vanishing[one])
    if vanishing[GROUNDS[0]]:
        listing.notes.append(
            f"{vanishing[255]:,} of {len(clear):,} transparent images show nothing on white: all "
            f"lie on {NAMED[ground]}, on which {vanishing[ground]:,} show nothing"
        )
    depths = [look.depth for look in looks if look.depth]
    tone, said = choose_tone(depths, sum(look.mode == "L" for look in looks), ground)
    if said:
        listing.notes.append(said)
    return tone


def _leave_small_out(listing: Listing, kept: list[int], least: int) -> list[int]:
    """Leave classes of fewer than ``least`` images out of a listing, and of the rows ``kept``."""
    counts = Counter(file.class_name for file in listing.files)
    small = sorted((name for name, count in counts.items() if count < least), key=sort_naturally)
    if not small:
        return kept
    if len(counts) - len(small) < 2:
        (_, most), (_, second) = [*counts.most_common(2), ("", 0)][:2]
        raise DataError(
            f"--min-images must leave two classes, but got {least:,}, and those with most have "
            f"{most:,} and {second:,} images; ask for {second:,} at most"
        )
    listing.notes.append(
        f"classes of fewer than {least} images left out: "
        f"{', '.join(f'{name} ({counts[name]})' for name in small)}"
    )
    rows = [row for row, file in enumerate(listing.files) if counts[file.class_name] >= least]
    listing.files = [listing.files[row] for row in rows]
    return [kept[row] for row in rows]


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


def _decode(content: Content, digest: str, size: int, how: tuple[int, Tone]) -> Pixels:
    with content.open() as held:
        if hash_content(held) != digest:
            raise DataError("its content has changed since it was first read")
        return decode_image(held, size, *how)


def hash_toned(digest: str, tone: Tone) -> str:
    """Return a hash of a file's hash and of what its values were scaled by."""
    return hash_content(f"{digest} {tone}".encode())


def hash_content(content: bytes) -> str:
    """Return a hash of a file's bytes, 24 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _work_through(function: Callable[[int], Found], count: int) -> list[Found]:
    """Call a function with each number below ``count``, on all cores."""
    with end_where_reading_fails(), ThreadPoolExecutor(count_cores()) as pool:
        return list(pool.map(function, range(count)))  # raises what the first failure did


@contextmanager
def end_where_reading_fails() -> Iterator[None]:
    """Make a failure that says nothing of the file, such as too many open ones, a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{show_name(str(error.filename or 'a file of the data'))} could not be read just now "
            f"({error.strerror or error}); the file may be well, so start the same command again, "
            "and remove it if that does not help"
        ) from error


def _try_files(listing: Listing, function: Callable[[int], Found]) -> list[Found]:
    """Call a function with each file's number; leave out those that it refuses, with the reason."""

    def try_one(number: int) -> Found | DataError:
        check_stop()
        try:
            return function(number)
        except DataError as error:
            return error

    with warnings.catch_warnings():
        # odd metadata are no news, and images of too many pixels are refused with their size
        warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
        results = _work_through(try_one, len(listing.files))
    files, found = [], []
    for file, result in zip(listing.files, results, strict=True):
        if isinstance(result, DataError):
            listing.excluded.append(Excluded(path=file.shown, reason=str(result)))
        else:
            files.append(file)
            found.append(result)
    lost = {file.class_name for file in listing.files} - {file.class_name for file in files}
    if lost:
        named = ", ".join(sorted(lost, key=sort_naturally))
        listing.notes.append(f"classes left out, for none of their images can be read: {named}")
    listing.files = files
    if not files:
        raise DataError(
            f"{listing.place} has no readable images{say_left_out(listing)}; "
            f"{'save them anew, smaller, or in PNG' if listing.excluded else LAYOUT}"
        )
    return found


def _name_classes(listing: Listing) -> tuple[str, ...]:
    names = {file.class_name for file in listing.files}
    if len(names) < 2:
        remedy = f"{LAYOUT}. If the classes lie one folder deeper, give that folder"
        if listing.kind not in ("folder", "archive"):
            remedy = "name the column of classes by --label-column, or add images of others"
        raise DataError(
            f"{listing.place} must have two classes or more, but has "
            f"{f'one ({names.pop()})' if names else 'none'}{say_left_out(listing)}; {remedy}"
        )
    trained = {file.class_name for file in listing.files if file.role in ("", "train")}
    if not trained:
        raise DataError(
            f"{listing.place} has no images to train on, only "
            f"{' and '.join(sorted({file.role for file in listing.files}))}; add a folder train"
        )
    if lost := sorted(names - trained, key=sort_naturally):
        roles = {file.role for file in listing.files if file.class_name in lost}
        raise DataError(
            f"every class must have images in train, but {' and '.join(sorted(roles))} alone "
            f"{'has' if len(roles) == 1 else 'have'} "
            f"{', '.join(map(repr, lost))}{suggest_name(lost[0], sorted(trained))}; rename or "
            "remove them, or add them to train"
        )
    return tuple(sorted(names, key=sort_naturally))


def _note_missing(listing: Listing, classes: Sequence[str]) -> list[str]:
    notes = []
    for role in ("val", "test"):
        present = {file.class_name for file in listing.files if file.role == role}
        missing = [name for name in classes if name not in present]
        if present and missing:
            notes.append(f"{role} has no images of: {', '.join(missing)}")
    return notes
