"""Which files of a folder are images, of which class, for which role: names only."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tellapart.data.decode import FORMATS, SUFFIXES, explain_unreadable
from tellapart.data.layout import LAYOUT, ClassFolder, Folder, find_classes
from tellapart.errors import DataError
from tellapart.records import Excluded
from tellapart.words import show_controls
from tellapart.workspace import IDENTITY

_IGNORED = {
    *("__macosx", "thumbs.db", "desktop.ini"),
    *("@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
}


class ImageFile(NamedTuple):
    """One image file: where it is, and what its place says of it."""

    path: Path
    shown: str
    class_name: str
    role: str


@dataclass
class Tree:
    """What a walk over a folder found; ``place`` names it."""

    place: str
    files: list[ImageFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)


def sort_naturally(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 2 before 10, and upper beside lower case.

    >>> sorted(["10", "2", "1"], key=sort_naturally)
    ['1', '2', '10']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def show_name(name: str) -> str:
    """Return a file or class name in one Unicode form, with control characters as escapes.

    >>> print(show_name("a\\nb"))
    a\\nb
    """
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return show_controls(unicodedata.normalize("NFC", readable))


def scan_tree(root: Path, follow_links: bool = False) -> Tree:
    """Find the images under ``root``, by class folder, or by role and class folder.

    Hidden folders, the droppings of operating and storage systems, and tellapart's own results
    are passed over. Every folder is visited once, so links in a circle end.

    Args:
        root: the folder; it may be a link itself.
        follow_links: whether links that lead out of ``root`` are followed.

    Raises:
        DataError: the folder is empty or unreadable, or has images but no class folders.
    """
    tree = Tree(show_name(str(root)))
    top = _read_folders(root, follow_links, tree)
    if not top.folders:
        tree.others = top.others
        left_out = say_left_out(tree)
        if not top.images and not left_out:
            raise DataError(f"{tree.place} is empty; {LAYOUT}")
        raise DataError(
            f"{tree.place} has {len(top.images):,} images but no class folders{left_out}; labels "
            f"in file names are not read, so sort them into class folders: {LAYOUT}"
        )
    if top.images:
        tree.notes.append(f"{len(top.images):,} images lie outside of all class folders: left out")
    found = find_classes(top, tree.notes)
    for role, name, folder in found:
        for inner in folder.walk():
            tree.others += inner.others
            for path in inner.images:
                shown = f"{inner.shown}/{show_name(path.name)}"
                tree.files.append(ImageFile(path, shown, name, role))
        if not folder.count and not any(own.startswith(f"{folder.shown}/") for own in tree.own):
            tree.notes.append(f"class folder {folder.shown} holds no images")
    tree.notes += _list_left_out(tree)
    inside = [inner for part in found for inner in part.folder.walk() if inner != part.folder]
    if deeper := [inner for inner in inside if inner.images]:
        tree.notes.append(
            f"{sum(len(inner.images) for inner in deeper):,} images lie in folders inside their "
            f"class folder, such as {deeper[0].shown}"
        )
    tree.notes += _note_spellings(found)
    return tree


def say_left_out(tree: Tree) -> str:
    """Return in brackets what was found and not read, for an error; empty if all was."""
    said = _list_left_out(tree)
    if tree.excluded:
        first = tree.excluded[0]
        said.insert(0, f"{len(tree.excluded):,} left out, such as {first.path}: {first.reason}")
    return f" ({'; '.join(said)})" if said else ""


def _list_left_out(tree: Tree) -> list[str]:
    said = []
    if tree.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in tree.others.most_common(5))
        formats = ", ".join(FORMATS)
        said.append(f"{tree.others.total():,} files are not images in {formats}: {kinds}")
    if tree.links:
        said.append(
            f"links that lead out of the folder, left out: {len(tree.links):,}, such as "
            f"{tree.links[0]}; add --follow-links (in Python, follow_links=True) to follow them"
        )
    if tree.own:
        said.append(f"passed over are tellapart's own results: {', '.join(tree.own[:5])}")
    return said


def _note_spellings(found: list[ClassFolder]) -> list[str]:
    """Note folders of classes whose names differ in Unicode form, case or spaces alone."""
    alike: dict[str, set[str]] = {}
    for part in found:
        raw = part.folder.path.name  # of a class that is split inside it is the split's
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


def _read_folders(root: Path, follow_links: bool, tree: Tree) -> Folder:
    """List all folders from ``root`` on; not by recursion, for they may be nested deeply."""
    top = Folder(root, "")
    within = "" if follow_links else os.path.realpath(root)
    seen: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.path.stat()
            with os.scandir(folder.path) as listed:
                entries = sorted(listed, key=lambda entry: sort_naturally(entry.name))
        except OSError as error:
            reason = explain_unreadable(error)
            if folder is top:
                raise DataError(f"{tree.place} {reason}; change its permissions") from error
            tree.excluded.append(Excluded(path=folder.shown, reason=f"the folder {reason}"))
            continue
        if (status.st_dev, status.st_ino) in seen:
            tree.notes.append(
                f"folder {folder.shown} was already read under another name: left out"
            )
            continue
        seen.add((status.st_dev, status.st_ino))
        if any(entry.name == IDENTITY for entry in entries):
            if folder is top:
                raise DataError(f"{tree.place} holds results; give the folder of images")
            tree.own.append(folder.shown)
            continue
        if folder.parent is not None:
            folder.parent.folders.append(folder)
        waiting += reversed(_sort_entries(folder, entries, within, tree))
    return top


def _sort_entries(
    folder: Folder, entries: list[os.DirEntry[str]], within: str, tree: Tree
) -> list[Folder]:
    """Fill in a folder's files, and return the folders in it, which are still to be read.

    Args:
        within: where links must not lead out of; empty where they may.
    """
    folders = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.casefold() in _IGNORED:
            continue
        name = show_name(entry.name)
        shown = f"{folder.shown}/{name}" if folder.shown else name
        path = folder.path / entry.name
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
            linked = Path(os.path.realpath(path)) if within and entry.is_symlink() else None
        except OSError as error:
            tree.excluded.append(Excluded(path=shown, reason=explain_unreadable(error)))
            continue
        if not is_folder and path.suffix.lower() not in SUFFIXES:
            folder.others[show_name(path.suffix.lower()) or "no ending"] += 1
        elif not is_folder and not is_file:
            odd = "not a regular file" if os.path.exists(path) else "a link to nothing"
            tree.excluded.append(Excluded(path=shown, reason=odd))
        elif linked and not linked.is_relative_to(within):
            tree.links.append(shown)
        elif is_folder:
            folders.append(Folder(path, shown, folder))
        else:
            folder.images.append(path)
    return folders
