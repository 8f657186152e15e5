"""From a folder, or the names in an archive, to a listing: which images are of which class."""

from __future__ import annotations

import copy
import os
from collections import Counter
from pathlib import Path

from tellapart.config import ReadSettings
from tellapart.data.content import BytesContent, Content, FileContent, explain_unreadable
from tellapart.data.decode import HEAD, SUFFIXES, looks_like_image
from tellapart.data.layout import (
    LAYOUT,
    ClassFolder,
    File,
    Folder,
    LooseError,
    find_classes,
    find_role,
    find_root,
)
from tellapart.data.listing import (
    Listed,
    Listing,
    count_images,
    list_left_out,
    match_name,
    say_left_out,
    show_name,
    sort_naturally,
)
from tellapart.data.tables import TABLES, Find, Inside, Source, find_beside, scan_tables
from tellapart.errors import DataError
from tellapart.records import Excluded
from tellapart.workspace import IDENTITY

IGNORED = {
    *("__macosx", "thumbs.db", "desktop.ini"),
    *("@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
}
OTHERS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".py"),
    *(".npy", ".npz", ".mat", ".h5", ".parquet", ".pkl", ".zip", ".gz", ".tar", ".pdf", ".svg"),
    *(".mp4", ".avi", ".mov", ".log", ".ini", ".cfg", ".ipynb", ".db", ".pt", ".pth"),
}
"""Endings of files that are not looked into: they are many, and no images."""
FEW = 20
"""Tables beside class folders, up to which they are looked into."""
PREFIXES = (
    r"([^/]*[^/\d._ -])[._ -]*\d+\.\w+$",
    r"([^/]+?)__?[^/_]*$",
    r"([^/.]+)\.[^/]*$",
)
"""Where a file's name may have its class: before a number, an underscore, a dot."""


def scan_folder(root: Path, settings: ReadSettings | None = None) -> Listing:
    """List the images under ``root``, by class folder, or by split and class folder.

    Names alone are looked at, and the first bytes of files whose ending says nothing.

    Raises:
        DataError: the folder is empty or unreadable, or its images have no classes.
    """
    settings = settings or ReadSettings()
    listing = Listing(show_name(str(root)))
    top = _read_folders(root, settings.follow_links, listing)
    return list_images(top, listing, settings)


def list_images(top: Folder, listing: Listing, settings: ReadSettings) -> Listing:
    """Fill in a listing from folders that were read, by their names or those of their files.

    Raises:
        DataError: there are no images, or they have no classes.
    """
    if settings.label_from is not None:
        _list_by_name(top, listing, settings.label_from)
        listing.notes += list_left_out(listing)
        return listing
    sources = [
        Source(_join_path(folder.shown, name), content, _find_below(folder, content, settings))
        for folder in top.walk()
        for name, content in folder.tables
    ]
    by_tables = copy.deepcopy(listing)
    if settings.names_table:
        if not sources:
            raise DataError(
                f"--{settings.names_table} is of a table, but {listing.place} has none; "
                "leave it out"
            )
        return scan_tables(sources, by_tables, settings)
    try:
        _list_by_folder(top, listing, settings.level)
        failed = ""
        names = {file.class_name for file in listing.files}
        if len(names) < 2:
            failed = f"{listing.place} has images of one class folder ({', '.join(names)})"
    except DataError as error:
        if not sources:
            raise
        failed = str(error)
    if not sources or (not failed and (settings.level or len(sources) > FEW)):
        listing.notes += list_left_out(listing)
        return listing
    try:
        scan_tables(sources, by_tables, settings)
    except DataError as error:
        if failed:
            raise DataError(f"{failed}; and of the table there: {error}") from error
        listing.notes.append(f"read by its class folders, for of {sources[0].path}: {error}")
        listing.notes += list_left_out(listing)
        return listing
    said = {file.class_name for file in by_tables.files}
    if failed:
        return by_tables
    path = sources[0].path
    if len(said) > 1 and said != names:
        raise DataError(
            f"{listing.place} may be read by its class folders ({_list_few(names)}) or by {path} "
            f"({_list_few(said)}); add --level top for the folders, or give the table as DATA"
        )
    listing.notes.append(f"read by its class folders; {path} has columns besides: give it as DATA")
    listing.notes += list_left_out(listing)
    return listing


def _list_few(names: set[str]) -> str:
    return ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")


def _find_below(folder: Folder, content: Content, settings: ReadSettings) -> Find:
    """Return what finds the images that a table in a folder names."""
    if isinstance(content, FileContent):
        return find_beside(content.path.parent, settings)
    if settings.images is not None:
        raise DataError("--images is of a table that is no archive's; leave it out")
    below = {
        _join_path(inner.shown, name).removeprefix(folder.shown).lstrip("/"): found
        for inner in folder.walk()
        for name, found in inner.images
    }
    return Inside(below)


def _list_by_name(top: Folder, listing: Listing, pattern: str) -> None:
    """List all images; classes are in their paths, splits in the names of their folders."""
    missed, named = [], set()
    for folder in top.walk():
        listing.others += folder.others
        roles = [role for part in folder.shown.split("/") if (role := find_role(part))]
        if roles and folder.images:
            named.add(f"{folder.shown} as {roles[-1]}")
        for name, content in folder.images:
            shown = _join_path(folder.shown, show_name(name))
            if label := match_name(pattern, shown):
                role = roles[-1] if roles else ""
                listing.files.append(Listed(content, shown, label, role))
            else:
                missed.append(shown)
    if named:
        listing.notes.append(f"folders read as splits: {', '.join(sorted(named)[:10])}")
    if missed:
        said = f"{len(missed):,} images, such as {missed[0]}, do not match {pattern!r}"
        if not listing.files:
            raise DataError(f"--label-from must match the paths of images, but {said}; mend it")
        listing.notes.append(f"{said}: left out")


def _list_by_folder(top: Folder, listing: Listing, level: str | None) -> None:
    """List images by the folders that they lie in."""
    if not top.filled and not top.folders:
        listing.others = top.others
        left_out = say_left_out(listing)
        if not top.images:
            said = "has no images" if left_out else "is empty"
            raise DataError(f"{listing.place} {said}{left_out}; {LAYOUT}")
        raise DataError(
            f"{listing.place} has {count_images(len(top.images))} but no class folders{left_out}; "
            f"{propose_labels(top)}sort them into class folders: {LAYOUT}"
        )
    if top.images:
        listing.notes.append(
            f"{len(top.images):,} images lie outside of all class folders: left out"
        )
    root = find_root(top, listing.notes)
    try:
        found = find_classes(root, listing.notes, level)
    except LooseError as error:
        raise DataError(
            f"{error}; {propose_labels(top)}sort them into class folders: {LAYOUT}"
        ) from error
    for role, name, folder in found:
        for inner in folder.walk():
            listing.others += inner.others
            listing.files += [
                Listed(content, _join_path(inner.shown, show_name(own)), name, role)
                for own, content in inner.images
            ]
        if not folder.count and not any(own.startswith(f"{folder.shown}/") for own in listing.own):
            listing.notes.append(f"class folder {folder.shown} holds no images")
    inside = [inner for part in found for inner in part.folder.walk() if inner != part.folder]
    if deeper := [inner for inner in inside if inner.images]:
        listing.notes.append(
            f"{sum(len(inner.images) for inner in deeper):,} images lie in folders inside their "
            f"class folder, such as {deeper[0].shown}"
        )
    listing.notes += _note_spellings(found)


def propose_labels(top: Folder) -> str:
    """Return what --label-from might be for files whose names seem to hold classes."""
    folders = [folder for folder in top.walk() if folder.role != "test"] or list(top.walk())
    paths = [_join_path(folder.shown, name) for folder in folders for name, _ in folder.images]
    for pattern in PREFIXES:
        counts = Counter(match_name(pattern, path) for path in paths)
        missed = counts.pop("", 0)
        alone = sum(count for count in counts.values() if count == 1)
        if 2 <= len(counts) <= len(paths) / 3 and missed + alone <= len(paths) / 10:
            listed = ", ".join(
                f"{show_name(name)} {count:,}" for name, count in counts.most_common(5)
            )
            more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
            return (
                f"their names may hold them: --label-from '{pattern}' would give {len(counts)} "
                f"classes ({listed}{more}); or "
            )
    return "if their names hold their classes, add --label-from; else "


def _join_path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _note_spellings(found: list[ClassFolder]) -> list[str]:
    """Note folders of classes whose names differ in Unicode form, case or spaces alone."""
    alike: dict[str, set[str]] = {}
    for part in found:
        raw = part.folder.raw  # of a class that is split inside it is the split's
        name = raw if show_name(raw) == part.name else part.name
        alike.setdefault(part.name.strip().casefold(), set()).add(name)
    notes = []
    for names in alike.values():
        shown = " and ".join(ascii(name) for name in sorted(names))
        if len({show_name(name) for name in names}) > 1:
            notes.append(f"classes {shown} differ only in case or spaces")
        elif len(names) > 1:
            notes.append(f"{shown} differ only in Unicode form: read as one class")
    return notes


def _read_folders(root: Path, follow_links: bool, listing: Listing) -> Folder:
    """List all folders from ``root`` on; not by recursion, for they may be nested deeply."""
    top = Folder("", root.name)
    within = "" if follow_links else os.path.realpath(root)
    seen: set[tuple[int, int]] = set()
    waiting = [(top, root)]
    while waiting:
        folder, path = waiting.pop()
        try:
            status = path.stat()
            with os.scandir(path) as listed:
                entries = sorted(listed, key=lambda entry: sort_naturally(entry.name))
        except OSError as error:
            reason = explain_unreadable(error)
            if folder is top:
                raise DataError(f"{listing.place} {reason}; change its permissions") from error
            listing.excluded.append(Excluded(path=folder.shown, reason=f"the folder {reason}"))
            continue
        if (status.st_dev, status.st_ino) in seen:
            listing.notes.append(
                f"folder {folder.shown} was already read under another name: left out"
            )
            continue
        seen.add((status.st_dev, status.st_ino))
        if any(entry.name == IDENTITY for entry in entries):
            if folder is top:
                raise DataError(f"{listing.place} holds results; give the folder of images")
            listing.own.append(folder.shown)
            continue
        if folder.parent is not None:
            folder.parent.folders.append(folder)
        waiting += reversed(_sort_entries(folder, entries, within, listing))
    return top


def _sort_entries(
    folder: Folder, entries: list[os.DirEntry[str]], within: str, listing: Listing
) -> list[tuple[Folder, Path]]:
    """Fill in a folder's files, and return the folders in it, which are still to be read.

    Args:
        within: where links must not lead out of; empty where they may.
    """
    folders = []
    for entry in entries:
        if is_ignored(entry.name):
            continue
        path = Path(entry.path)
        shown = _join_path(folder.shown, show_name(entry.name))
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
            linked = Path(os.path.realpath(path)) if within and entry.is_symlink() else None
            out = linked is not None and not linked.is_relative_to(within)
            named = path.suffix.lower() in SUFFIXES
            if not (named or is_folder or out) and is_file:
                named = path.suffix.lower() not in OTHERS and _begins_as_image(path)
        except OSError as error:
            listing.excluded.append(Excluded(path=shown, reason=explain_unreadable(error)))
            continue
        if not is_folder and not named:
            kept = FileContent(path) if is_file and not out else BytesContent(b"")
            count_other(folder, File(entry.name, kept))
        elif not is_folder and not is_file:
            odd = "not a regular file" if os.path.exists(path) else "a link to nothing"
            listing.excluded.append(Excluded(path=shown, reason=odd))
        elif out:
            listing.links.append(shown)
        elif is_folder:
            folders.append((Folder(shown, entry.name, folder), path))
        else:
            folder.images.append(File(entry.name, FileContent(path)))
    return folders


def is_ignored(name: str) -> bool:
    """Tell whether a file or folder is hidden, or what systems and unpacking leave behind."""
    return name.startswith(".") or name.casefold() in IGNORED


def count_other(folder: Folder, file: File) -> None:
    """Count a file that is no image by its ending; a table is kept, if it can be opened."""
    suffix = Path(file.name).suffix.lower()
    folder.others[show_name(suffix) or "no ending"] += 1
    empty = isinstance(file.content, BytesContent) and not file.content.content
    if suffix in TABLES and not empty and (suffix != ".json" or file.name == "labels.json"):
        folder.tables.append(file)


def _begins_as_image(path: Path) -> bool:
    with open(path, "rb") as stream:
        return looks_like_image(stream.read(HEAD))
