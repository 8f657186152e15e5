"""The one table that every kind of input is read into: an image a row, and what it is called."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from tellapart.data.content import Content
from tellapart.data.decode import EXTRAS, FORMATS
from tellapart.records import Excluded
from tellapart.words import show_controls


@dataclass(frozen=True)
class Listed:
    """One image: where its bytes lie, how its place is shown, and what is said of it.

    ``group`` is empty where it is alone; ``facts`` has what else a table says, by column.
    """

    content: Content
    shown: str
    class_name: str
    role: str = ""
    group: str = ""
    facts: tuple[str, ...] = ()


@dataclass
class Listing:
    """What was found at a place that is shown as ``place``; ``kind`` says what was read, in words.

    ``columns`` name the facts. ``others`` are files that are no images, by ending; ``links`` lead
    out of the place, ``own`` are tellapart's own results.
    """

    place: str
    kind: str = "folder"
    files: list[Listed] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)


def sort_naturally(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts 2 before 10, and upper beside lower case.

    >>> sorted(["10", "2", "1"], key=sort_naturally)
    ['1', '2', '10']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    numbers = (part.lstrip("0") for part in parts[1::2])
    parts[1::2] = numbers
    return [(len(part) if index % 2 else 0, part) for index, part in enumerate(parts)], name


def count_images(count: int) -> str:
    """Say how many images there are.

    >>> count_images(1), count_images(1200)
    ('1 image', '1,200 images')
    """
    return f"{count:,} image{'' if count == 1 else 's'}"


def show_name(name: str) -> str:
    """Return a file or class name in one Unicode form, with control characters as escapes.

    >>> print(show_name("a\\nb"))
    a\\nb
    """
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return show_controls(unicodedata.normalize("NFC", readable))


def match_name(pattern: str, shown: str) -> str:
    """Return the first group of a pattern in a path, or all that it matches; empty where nothing.

    >>> match_name(r"(\\w+)_\\d+", "set/cat_07.png"), match_name("cat|dog", "a/dog.png")
    ('cat', 'dog')
    """
    found = re.search(pattern, shown)
    if found is None:
        return ""
    return next((part for part in found.groups() if part), "") if found.groups() else found.group()


WHOLE = (".npz", ".npy", ".h5", ".hdf5", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
"""Endings of files that hold a whole data set."""


def list_left_out(listing: Listing) -> list[str]:
    """Return what was found and not read, a sentence each."""
    said = []
    if listing.others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in listing.others.most_common(5))
        formats = ", ".join(FORMATS)
        count = listing.others.total()
        are = "file is not an image" if count == 1 else "files are not images"
        said.append(f"{count:,} {are} in {formats}: {kinds}")
        extras = {EXTRAS[kind]: kind for kind in listing.others if kind in EXTRAS}
        said += [
            f"to read {kind} files, pip install 'tellapart[{extra}]'"
            for extra, kind in extras.items()
        ]
    if listing.links:
        said.append(
            f"links that lead out of the folder, left out: {len(listing.links):,}, such as "
            f"{listing.links[0]}; add --follow-links to follow them"
        )
    if listing.own:
        said.append(f"passed over are tellapart's own results: {', '.join(listing.own[:5])}")
    return said


def say_left_out(listing: Listing) -> str:
    """Return in brackets what was found and not read, for an error; empty if all was."""
    said = list_left_out(listing)
    if whole := [kind for kind in WHOLE if kind in listing.others]:
        said.append(f"a {' or '.join(whole)} file is data by itself: give its path")
    if listing.excluded:
        first = listing.excluded[0]
        said.insert(0, f"{len(listing.excluded):,} left out, such as {first.path}: {first.reason}")
    return f" ({'; '.join(said)})" if said else ""
