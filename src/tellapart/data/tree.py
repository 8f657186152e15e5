"""Which files of a folder are images, of which class, for which role: names only."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tellapart.data.decode import SUFFIXES
from tellapart.errors import DataError
from tellapart.records import Excluded

ROLE_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
LAYOUT = "expected is FOLDER/<class>/<images>, or FOLDER/train/<class>/<images> and the like"

_IGNORED = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class ImageFile:
    """One image file: where it is, and what its place says of it."""

    path: Path
    shown: str
    class_name: str
    role: str


@dataclass
class Tree:
    """What a walk over a folder found."""

    files: list[ImageFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    deeper: int = 0


def sort_naturally(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 2 before 10, and upper beside lower case.

    >>> sorted(["10", "2", "1"], key=sort_naturally)
    ['1', '2', '10']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def show_name(name: str) -> str:
    """Return a file or class name as text that every encoder takes, in one Unicode form."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", readable)


def scan_tree(root: Path) -> Tree:
    """Find the images under ``root``, by class folder, or by role and class folder.

    Hidden folders, and the droppings of operating systems, are passed over. Every folder is
    visited once, so links in a circle end.

    Raises:
        DataError: the folder is empty or unreadable, or has images but no class folders.
    """
    tree = Tree()
    folders, files = _list_folder(root)
    if not folders and not files:
        raise DataError(f"{root} is empty; {LAYOUT}")
    loose = sum(_is_image(file) for file in files)
    if not folders:
        raise DataError(
            f"{root} has {loose:,} images but no class folders; sort them so that {LAYOUT}"
        )
    if loose:
        tree.notes.append(f"{loose:,} images lie outside of all class folders: left out")
    seen = {_identify(root)}
    for role, folder in _assign_roles(folders, tree):
        if not role:
            _scan_class(root, folder, "", seen, tree)
            continue
        seen.add(_identify(folder))
        inner, strays = _list_folder(folder)
        stray_images = sum(_is_image(file) for file in strays)
        if stray_images:
            tree.notes.append(
                f"{stray_images:,} images of {show_name(folder.name)} lie outside of all "
                "class folders: left out"
            )
        for class_folder in inner:
            _scan_class(root, class_folder, role, seen, tree)
    _note_oddities(tree)
    return tree


def _assign_roles(folders: list[Path], tree: Tree) -> list[tuple[str, Path]]:
    """Say which of the top folders are roles; a folder ``train`` of images is a class."""
    roles = [
        (ROLE_FOLDERS[folder.name.casefold()], folder)
        for folder in folders
        if folder.name.casefold() in ROLE_FOLDERS and _holds_classes(folder)
    ]
    named = [folder for folder in folders if folder.name.casefold() in ROLE_FOLDERS]
    if not roles:
        if named:
            shown = ", ".join(show_name(folder.name) for folder in named)
            tree.notes.append(f"{shown}: read as classes, for no class folders are inside")
        return [("", folder) for folder in folders]
    taken = {folder for _, folder in roles}
    left = [show_name(folder.name) for folder in folders if folder not in taken]
    if left:
        tree.notes.append(
            f"folders beside {', '.join(show_name(folder.name) for _, folder in roles)} "
            f"left out: {', '.join(left)}"
        )
    for role in ("train", "val", "test"):
        names = [show_name(folder.name) for found, folder in roles if found == role]
        if len(names) > 1:
            tree.notes.append(f"read together as {role}: {', '.join(names)}")
    return roles


def _holds_classes(folder: Path) -> bool:
    inner, files = _list_folder(folder)
    return bool(inner) and not (any(map(_is_image, files)) and len(inner) < 2)


def _scan_class(
    root: Path, folder: Path, role: str, seen: set[tuple[int, int]], tree: Tree
) -> None:
    before = len(tree.files)
    for path in _walk_files(folder, root, seen, tree):
        if _is_image(path):
            shown = show_name(path.relative_to(root).as_posix())
            tree.files.append(ImageFile(path, shown, show_name(folder.name), role))
            tree.deeper += path.parent != folder
        else:
            tree.others[path.suffix.lower() or "no ending"] += 1
    if len(tree.files) == before:
        place = show_name(folder.relative_to(root).as_posix())
        tree.notes.append(f"class folder {place} holds no images")


def _walk_files(folder: Path, root: Path, seen: set[tuple[int, int]], tree: Tree) -> Iterator[Path]:
    identity = _identify(folder)
    if identity in seen:
        shown = show_name(folder.relative_to(root).as_posix())
        tree.notes.append(f"folder {shown} was already read under another name: left out")
        return
    seen.add(identity)
    try:
        folders, files = _list_folder(folder)
    except DataError:
        shown = show_name(folder.relative_to(root).as_posix())
        tree.excluded.append(Excluded(path=shown, reason="the folder cannot be read"))
        return
    yield from files
    for inner in folders:
        yield from _walk_files(inner, root, seen, tree)


def _list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, in natural order."""
    try:
        names = sorted(os.listdir(folder), key=sort_naturally)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}); change its permissions"
        ) from error
    paths = [folder / name for name in names if not _is_ignored(name)]
    folders = [path for path in paths if path.is_dir()]
    return folders, [path for path in paths if not path.is_dir()]


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _IGNORED


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _identify(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _note_oddities(tree: Tree) -> None:
    if tree.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in tree.others.most_common(5))
        tree.notes.append(f"{tree.others.total():,} files are not images of a known kind: {kinds}")
    if tree.deeper:
        tree.notes.append(f"{tree.deeper:,} images lie in folders inside their class folder")
    alike: dict[str, list[str]] = {}
    for name in sorted({file.class_name for file in tree.files}):
        alike.setdefault(name.strip().casefold(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = " and ".join(repr(name) for name in names)
            tree.notes.append(f"classes {shown} differ only in case or spaces")
