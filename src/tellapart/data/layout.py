"""What the folders of a data set stand for: classes, or splits of the same classes.

The folders may be those of a disk or of an archive; names alone count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from tellapart.data.content import Content
from tellapart.errors import DataError

ROLE_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
LAYOUT = "expected is FOLDER/<class>/<images>, or FOLDER/train/<class>/<images> and the like"


AROUND = {"doc", "docs", "asset", "assets", "figure", "figures", "notebooks", "scripts", "src"}
"""Folders of a repository that are beside its data, though they may hold pictures."""


class File(NamedTuple):
    """A file by its name, and where its bytes lie."""

    name: str
    content: Content


class LooseError(DataError):
    """Folders of splits hold images and no class folders: labels may be in names of files."""


@dataclass(eq=False)
class Folder:
    """One folder: its images, the folders in it, the endings of its other files.

    ``shown`` is its path below the data as it is shown, ``raw`` its name as it is.
    """

    shown: str
    raw: str = ""
    parent: Folder | None = None
    images: list[File] = field(default_factory=list)
    tables: list[File] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return self.shown.rpartition("/")[2]

    @cached_property
    def role(self) -> str:
        """The split that its name stands for, or an empty string."""
        return find_role(self.name)

    @cached_property
    def count(self) -> int:
        """How many images lie in it and in all folders below."""
        return sum(len(folder.images) for folder in self.walk())

    @cached_property
    def filled(self) -> list[Folder]:
        """The folders in it that hold images."""
        return [folder for folder in self.folders if folder.count]

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below it, each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)


class ClassFolder(NamedTuple):
    """The images of one class in one split; ``role`` is empty where there are no splits."""

    role: str
    name: str
    folder: Folder


def find_role(name: str) -> str:
    """Return the split that a word in a folder's name stands for, or an empty string.

    >>> [find_role(name) for name in ("seg_train", "ValData", "test1", "trains")]
    ['train', 'val', 'test', '']
    """
    for word in re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)):
        role = ROLE_WORDS.get(re.sub(r"(?<=.)(set|data|images)$", "", word.casefold()))
        if role:
            return role
    return ""


def find_root(top: Folder, notes: list[str]) -> Folder:
    """Return where the classes or splits lie: deeper, where one folder alone holds them all.

    So it is where unpacking doubled a folder, and at the root of a repository.
    """
    root = top
    while True:
        inside = [one for one in root.filled if one.name.casefold() not in AROUND] or root.filled
        if len(inside) != 1 or not _holds_classes(inside[0]) or inside[0].role:
            break
        root = inside[0]
    if root is not top:
        notes.append(f"read is the folder {root.shown}, for it alone holds class folders")
    return root


def find_classes(root: Folder, notes: list[str], level: str | None = None) -> list[ClassFolder]:
    """Say which folders are classes, and of which split; add to ``notes`` what was decided.

    Folders with a word such as train or test in their names are splits where they hold class
    folders, and classes with such folders inside are split by them. ``level`` says how deep below
    them classes lie: at the top, at a number of folders, or wherever images are.

    Raises:
        DataError: splits without class folders, what may be a split or a class, or what may be
            classes at two levels.
    """
    found = _find_folders(root, notes, level)
    return _join_cases(_choose_level(found, level), notes)


def _choose_level(found: list[ClassFolder], level: str | None) -> list[ClassFolder]:
    """Return the class folders of a level; without one, refuse what has images below alone."""
    leaves = [(top, leaf) for top in found for leaf in top.folder.walk() if leaf.images]
    deeper = {top.name: 0 for top in found}
    for name in {(top.name, leaf.name) for top, leaf in leaves}:
        deeper[name[0]] += 1
    if level is None:
        if not any(top.folder.images for top in found) and max(deeper.values(), default=0) > 1:
            names = sorted({leaf.name for _, leaf in leaves})
            raise DataError(
                f"no image lies in a class folder itself, so classes may be the {len(deeper)} top "
                f"folders ({', '.join(sorted(deeper)[:5])}) or the {len(names)} folders inside "
                f"that hold images ({', '.join(names[:5])}); add --level top or --level leaf"
            )
        return found
    if level in ("top", "1"):
        return found
    if level != "leaf":
        leaves = [(top, place) for top in found for place in _descend(top.folder, int(level))]
    parents: dict[str, set[str]] = {}
    for top, leaf in leaves:
        parents.setdefault(leaf.name, set()).add(_name_above(top, leaf))
    alike = {name for name, above in parents.items() if len(above) > 1}
    return [
        ClassFolder(
            top.role,
            f"{_name_above(top, leaf)}/{leaf.name}".lstrip("/")
            if leaf.name in alike
            else leaf.name,
            Folder(leaf.shown, leaf.raw, images=leaf.images) if level == "leaf" else leaf,
        )
        for top, leaf in leaves
    ]


def _descend(folder: Folder, level: int) -> list[Folder]:
    """Return the folders of a level, of which ``folder`` is the first, or those where it ends."""
    places = [folder]
    for _ in range(level - 1):
        places = [inner for place in places for inner in (place.filled or [place])]
    return places


def _name_above(top: ClassFolder, leaf: Folder) -> str:
    """Return the names of the folders between a split and a leaf in it."""
    above = leaf.shown.removeprefix(top.folder.shown).strip("/").rpartition("/")[0]
    return "" if leaf is top.folder else f"{top.name}/{above}".rstrip("/")


def _join_cases(found: list[ClassFolder], notes: list[str]) -> list[ClassFolder]:
    """Name a class of val or test as train does, where they differ in case or spaces alone."""
    known = {part.name for part in found if part.role in ("", "train")}
    folded = {name.strip().casefold(): name for name in sorted(known)}
    joined, said = [], []
    for part in found:
        name = part.name
        if name not in known and (own := folded.get(name.strip().casefold())):
            said.append(f"{part.folder.shown!r} as {own!r}")
            name = own
        joined.append(part._replace(name=name))
    if said:
        notes.append(f"classes that differ in case or spaces alone are joined: {', '.join(said)}")
    return joined


def _find_folders(root: Folder, notes: list[str], level: str | None) -> list[ClassFolder]:
    if inner := _split_classes(root):
        _note_roles([(part.role, part.folder) for part in inner if part.role], notes)
        return inner
    named = [folder for folder in root.filled if folder.role]
    others = [folder for folder in root.filled if not folder.role]
    exact = [folder for folder in named if folder.name.casefold() in ROLE_WORDS]
    splits = [folder for folder in named if _holds_classes(folder)]
    loose = exact if others else named
    if not splits and (len({one.role for one in loose}) > 1 or (loose and len(root.filled) == 1)):
        raise LooseError(f"{_join(loose)} must hold class folders, but hold images alone")
    shared = _share_classes(splits)
    if others and not shared and (unclear := [folder for folder in splits if folder in exact]):
        name = unclear[0].name
        raise DataError(
            f"{name} may be a split or a class: it holds folders, but {_join(others)} beside it "
            f"hold images too; if it is a class, rename it (such as to {name}s); if it is a "
            "split, move the others into splits, or away"
        )
    if not splits and level is None:
        _refuse_alike(root)
    if not splits or (others and not shared):
        if exact:
            notes.append(f"{_join(exact)}: read as classes, for no class folders are inside")
        return [ClassFolder("", folder.name, folder) for folder in root.folders]
    if others:
        notes.append(f"folders beside {_join(splits)} left out: {_join(others)}")
    for folder in named:
        if strays := len(folder.images) if folder in splits else folder.count:
            notes.append(
                f"{strays:,} images of {folder.name} lie outside of all class folders: left out"
            )
    places = [(split.role, place) for split, place in zip(splits, _unwrap(splits), strict=True)]
    _note_roles(places, notes)
    return [
        ClassFolder(role, inner.name, inner) for role, place in places for inner in place.folders
    ]


def _refuse_alike(root: Folder) -> None:
    """Refuse folders without images of their own that hold the same folders.

    They are splits whose names do not say so, or classes that are divided alike.
    """
    inside = {frozenset(inner.name for inner in top.filled) for top in root.filled}
    loose = any(top.images for top in root.filled)
    if len(root.filled) > 1 and len(inside) == 1 and not loose and len(names := inside.pop()) > 1:
        raise DataError(
            f"{_join(root.filled)} hold folders of the same names "
            f"({', '.join(sorted(names)[:10])}), so they may be splits or classes; name splits "
            "train, val and test, or add --level top or --level leaf if all are classes"
        )


def _holds_classes(folder: Folder) -> bool:
    return bool(folder.filled) and not (folder.images and len(folder.filled) < 2)


def _split_classes(root: Folder) -> list[ClassFolder]:
    """Return the classes where they are split inside, as good/train and good/test; else none."""
    found, divided = [], False
    for top in root.filled:
        if top.images or not all(inner.role for inner in top.filled):
            found.append(ClassFolder("", top.name, top))
            continue
        divided |= len({inner.role for inner in top.filled}) > 1
        found += [ClassFolder(inner.role, top.name, inner) for inner in top.filled]
    return found if divided else []


def _share_classes(splits: list[Folder]) -> bool:
    """Tell whether folders of different roles have inner folders of one name."""
    places = zip(splits, _unwrap(splits), strict=True)
    pairs = {(inner.name, split.role) for split, place in places for inner in place.filled}
    return len({name for name, _ in pairs}) < len(pairs)


def _unwrap(splits: list[Folder]) -> list[Folder]:
    """Return where the classes lie: in seg_train/seg_train, or train/images, one folder deeper.

    A folder that is alone in its split, with folders and no images in it, is no class, unless
    another split has a class of its name.
    """
    inside: list[Folder] = []
    while inside != splits:
        inside = splits
        alone = {
            split.shown: split.filled[0]
            for split in inside
            if len(split.filled) == 1 and not split.images and _holds_classes(split.filled[0])
        }
        names = {each.name for split in inside if split.shown not in alone for each in split.filled}
        deeper = {shown: place for shown, place in alone.items() if place.name not in names}
        splits = [deeper.get(split.shown, split) for split in inside]
    return splits


def _note_roles(places: list[tuple[str, Folder]], notes: list[str]) -> None:
    """Note which folders were read as which split, unless their names alone say so."""
    found: dict[str, list[Folder]] = {}
    for role, folder in places:
        found.setdefault(role, []).append(folder)
    plain = all(folder.shown.casefold() in ROLE_WORDS for _, folder in places)
    if not plain or len(found) < len(places):
        notes += [f"read as {role}: {_join(folders)}" for role, folders in found.items()]


def _join(folders: list[Folder]) -> str:
    more = f" and {len(folders) - 10} more" if len(folders) > 10 else ""
    return ", ".join(folder.shown for folder in folders[:10]) + more
