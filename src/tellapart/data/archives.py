"""Images in a zip or tar file, read in place: nothing is unpacked onto the disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tellapart.config import ReadSettings
from tellapart.data.content import (
    DAMAGED,
    MOST_BYTES,
    BytesContent,
    Content,
    SliceContent,
    ZipContent,
)
from tellapart.data.decode import HEAD, SUFFIXES, looks_like_image
from tellapart.data.layout import File, Folder
from tellapart.data.listing import Listing, show_name, sort_naturally
from tellapart.data.tables import TABLES
from tellapart.data.tree import OTHERS, count_other, is_ignored, list_images
from tellapart.errors import DataError
from tellapart.records import Excluded
from tellapart.stop import check_stop

DEEPEST = 100
"""Folders inside each other, at most."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class _Member(NamedTuple):
    """A file of an archive: its path there, its bytes, and why it is left out, if it is."""

    path: str
    content: Content
    odd: str = ""


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive that is read."""
    return path.name.casefold().endswith(ARCHIVES)


def scan_archive(path: Path, settings: ReadSettings, memory_limit: int) -> Listing:
    """List the images of a zip or tar file, as if it were a folder.

    The members of a compressed tar cannot be reached singly: they are held in memory.

    Args:
        memory_limit: bytes of a compressed tar's images that may be held.

    Raises:
        DataError: it is damaged or too large to be held, or its images have no classes.
    """
    listing = Listing(show_name(str(path)), "archive")
    top = Folder("", path.name)
    folders = {"": top}
    try:
        members = _list_zip(path) if zipfile.is_zipfile(path) else _list_tar(path, memory_limit)
        for member in sorted(members, key=lambda one: sort_naturally(one.path)):
            check_stop()
            _sort_member(member, folders, listing)
    except (tarfile.TarError, *DAMAGED) as error:
        raise DataError(
            f"{listing.place} is no zip or tar file that can be read ({error}); fetch it again"
        ) from error
    return list_images(top, listing, settings)


def _list_zip(path: Path) -> Iterator[_Member]:
    stamp = path.stat().st_mtime_ns
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                odd = "encrypted" if info.flag_bits & 1 else ""
                if info.external_attr >> 28 == 0o12:
                    odd = "a link"
                content = ZipContent(path.resolve(), info.filename, info.file_size, stamp)
                yield _Member(info.filename, content, odd)


def _list_tar(path: Path, memory_limit: int) -> Iterator[_Member]:
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                if not info.isdir():
                    odd = "" if info.isreg() and not info.issparse() else "not a regular file"
                    content = SliceContent(path.resolve(), info.offset_data, info.size)
                    yield _Member(info.name, content, odd)
        return
    except tarfile.ReadError:
        pass  # compressed, or no tar at all
    held = 0
    with tarfile.open(path, "r|*") as archive:
        for info in archive:
            check_stop()
            name = info.name.rpartition("/")[2]
            suffix = Path(name).suffix.lower()
            if info.isdir() or is_ignored(name):
                continue
            if suffix in OTHERS and suffix not in TABLES:  # it will not be read
                yield _Member(info.name, BytesContent(b""))
                continue
            stream = archive.extractfile(info) if info.isreg() else None
            if stream is None or info.size > MOST_BYTES:
                odd = "not a regular file" if stream is None else "too large"
                yield _Member(info.name, BytesContent(b""), odd)
                continue
            held += info.size
            if held > memory_limit:
                raise DataError(
                    f"{show_name(str(path))} is a compressed tar, whose files must fit into "
                    f"{memory_limit / 1e9:.1f} GB of memory, but have more; unpack it, and give "
                    "the folder"
                )
            yield _Member(info.name, BytesContent(stream.read()))


def _sort_member(member: _Member, folders: dict[str, Folder], listing: Listing) -> None:
    """Put a file into its folder, which is made where it is new."""
    parts = member.path.replace("\\", "/").removeprefix("./").split("/")
    if any(is_ignored(part) and part != ".." for part in parts):
        return
    odd = "its path leads out of the archive"
    if len(parts) > DEEPEST:
        odd = f"nested in more than {DEEPEST} folders"
    if ".." in parts or "" in parts or ":" in parts[0] or len(parts) > DEEPEST:
        listing.excluded.append(Excluded(path=show_name(member.path)[:200], reason=odd))
        return
    place = ""
    for part in parts[:-1]:
        above, place = folders[place], f"{place}/{part}" if place else part
        if place not in folders:
            folders[place] = Folder(show_name(place), part, above)
            above.folders.append(folders[place])
    folder, file = folders[place], File(parts[-1], member.content)
    suffix = Path(file.name).suffix.lower()
    if member.odd:
        listing.excluded.append(Excluded(path=show_name(member.path), reason=member.odd))
    elif suffix in SUFFIXES or (suffix not in OTHERS and _begins_as_image(member.content)):
        folder.images.append(file)
    else:
        count_other(folder, file)


def _begins_as_image(content: Content) -> bool:
    try:
        with content.open() as held:
            return looks_like_image(held[:HEAD])
    except DataError:
        return False
