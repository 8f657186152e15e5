"""Images and labels from a table: CSV, TSV, JSON lines, Parquet, and FiftyOne's labels.json."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from tellapart.config import ReadSettings
from tellapart.data.cells import SEVERAL, list_cells, read_columns
from tellapart.data.content import Content, FileContent
from tellapart.data.decode import SUFFIXES
from tellapart.data.layout import find_role
from tellapart.data.listing import Listed, Listing, count_images, show_name
from tellapart.errors import DataError, suggest_name

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
USUAL = {
    "image": (
        *("image", "file", "filename", "file_name", "filepath", "file_path", "path"),
        *("image_path", "image_name", "image_id", "img", "img_path", "id", "name"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "category", "target", "y", "ground_truth"),
        *("label_name", "class_id", "species", "breed", "diagnosis", "dx"),
    ),
    "split": ("split", "set", "subset", "partition", "usage"),
    "group": (
        *("group", "group_id", "patient", "patient_id", "subject", "subject_id", "lesion_id"),
        *("video", "video_id", "track", "track_id"),
    ),
}
"""Names that columns usually have, the likeliest first; case, spaces and dashes do not count."""
PLACES = ("", "images", "image", "img", "imgs", "data", "files", "photos")
"""Folders beside a table that images may lie in; so may those of the table's own name."""
NONE = "none"
"""Says that no column has groups."""
LOOKED, MOST_FOLDERS = 100, 1000
"""Rows by which the folders of images are told, and folders that are looked into at most."""


class Find(Protocol):
    """Gives the content of a path below where a table lies, with "/" between its parts."""

    def __call__(self, path: str) -> Content | None: ...

    def list_folders(self) -> list[str]:
        """Return the paths of folders that may hold images."""
        ...


@dataclass(frozen=True)
class Inside:
    """Finds images of an archive, by their paths below the table."""

    below: Mapping[str, Content]

    def __call__(self, path: str) -> Content | None:
        return self.below.get(path)

    def list_folders(self) -> list[str]:
        return sorted({path.rpartition("/")[0] for path in self.below})


@dataclass(frozen=True)
class Beside:
    """Finds images below a folder, or below ``--images``; not elsewhere."""

    root: Path
    follow_links: bool

    def __call__(self, path: str) -> Content | None:
        whole = self.root / path
        try:
            if not whole.is_file():
                return None
        except (OSError, ValueError):  # no path at all: far too long, or with a zero
            return None
        inside = Path(os.path.realpath(whole)).is_relative_to(os.path.realpath(self.root))
        if not inside and not self.follow_links:
            raise DataError(
                f"images of a table must lie below {show_name(str(self.root))}, but {path!r} does "
                "not; give the folder above all by --images, or add --follow-links"
            )
        return FileContent(whole)

    def list_folders(self) -> list[str]:
        found = []
        for place, names, _ in os.walk(self.root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            found.append(os.path.relpath(place, self.root).replace(os.sep, "/"))
            if len(found) > MOST_FOLDERS:
                return []
        return [path for path in found if path != "."]


class Source(NamedTuple):
    """A file with a table: its path below the data, and what finds the images that it names."""

    path: str
    content: Content
    find: Find


@dataclass
class Table:
    """What a file says: texts by column, and the columns that hold images themselves."""

    name: str
    columns: dict[str, list[str]]
    cells: dict[str, list[Content]] = field(default_factory=dict)
    role: str = ""
    folder: str = ""
    find: Find = field(default_factory=lambda: Inside({}))

    @property
    def count(self) -> int:
        columns: list[Sequence[object]] = [*self.columns.values(), *self.cells.values()]
        return len(columns[0]) if columns else 0


def scan_tables(sources: Sequence[Source], listing: Listing, settings: ReadSettings) -> Listing:
    """List the images that tables name, or hold; of several, each is a split by its path.

    Raises:
        DataError: a table cannot be read, lacks a column, or names images that are not there.
    """
    tables = []
    for source in sources:
        table = read_table(source)
        if len(sources) > 1:
            path = PurePosixPath(source.path)
            parts = path.with_suffix("").parts
            table.role = next((role for part in reversed(parts) if (role := find_role(part))), "")
            table.folder = "" if str(path.parent) == "." else f"{path.parent}/"
        tables.append(table)
    if any(table.role for table in tables):
        others = [table.name for table in tables if not table.role]
        listing.notes += [f"{name} is of no split, as others are: left out" for name in others]
        tables = [table for table in tables if table.role]
    return list_tables(tables, listing, settings)


def list_tables(tables: Sequence[Table], listing: Listing, settings: ReadSettings) -> Listing:
    """Add the images of tables to a listing.

    Raises:
        DataError: a table lacks a column, or names images that are not there.
    """
    missing: list[str] = []
    for table in tables:
        _list_rows(table, listing, settings, missing)
    if missing and not settings.allow_missing:
        rows = sum(table.count for table in tables)
        raise DataError(
            f"the images of a table must be there, but {len(missing):,} of {rows:,} are not, such "
            f"as {missing[0]}; say by --images in which folder they lie, or leave them out by "
            "--allow-missing"
        )
    if missing:
        listing.notes.append(
            f"{count_images(len(missing))}, such as {missing[0]}, missing: left out"
        )
    width = len(listing.columns)
    listing.files = [
        replace(file, facts=(*file.facts, *[""] * (width - len(file.facts))))
        for file in listing.files
    ]
    _join_rows(listing)
    if not listing.files:
        raise DataError(f"{listing.place} must have rows with an image and a label, but has none")
    alike: dict[str, set[str]] = {}
    for file in listing.files:
        alike.setdefault(file.class_name.casefold(), set()).add(file.class_name)
    for names in (sorted(own) for own in alike.values() if len(own) > 1):
        listing.notes.append(f"classes {' and '.join(map(repr, names))} differ only in case")
    return listing


def find_beside(place: Path, settings: ReadSettings) -> Find:
    """Return what finds images below a folder, or below ``--images``."""
    root = Path(settings.images).expanduser() if settings.images else place
    return Beside(root, settings.follow_links)


def read_table(source: Source) -> Table:
    """Read the columns of a table as texts.

    Raises:
        DataError: it is no such table, or a line of it does not fit.
    """
    suffix = Path(source.path).suffix.lower()
    if suffix == ".parquet":
        columns = read_columns(source.content)
        return Table(source.path, columns, list_cells(source.content), find=source.find)
    try:
        with source.content.open() as content:
            text = content.decode("utf-8-sig")
        if suffix in (".jsonl", ".ndjson"):
            columns = _join_records(list(_read_lines(text)))
        elif suffix == ".json":
            columns = _read_json(json.loads(text))
        else:
            columns = _read_csv(text, suffix)
    except (DataError, csv.Error, ValueError, TypeError, IndexError, RecursionError) as error:
        raise DataError(
            f"{show_name(source.path)} is no table that can be read ({error}); "
            f"write it as UTF-8 text, one line an image"
        ) from error
    return Table(source.path, columns, find=source.find)


def _read_csv(text: str, suffix: str) -> dict[str, list[str]]:
    head = text.partition("\n")[0]
    mark = "\t" if suffix == ".tsv" else max(",;\t|", key=head.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark, strict=True) if row]
    if len(rows) < 2:
        raise ValueError("it must have a line of names and a line for each image")
    names, lines = [name.strip() for name in rows[0]], rows[1:]
    if len(set(names)) < len(names):
        raise ValueError(f"two columns are called {Counter(names).most_common(1)[0][0]!r}")
    for number, row in enumerate(lines, 2):
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} values for {len(names)} columns")
    return {name: [row[place].strip() for row in lines] for place, name in enumerate(names)}


def _read_lines(text: str) -> Iterator[object]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line:
                yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}") from error


def _read_json(found: object) -> dict[str, list[str]]:
    """Read FiftyOne's ``labels.json`` of a classification, or a list of records."""
    if isinstance(found, list):
        return _join_records(found)
    if not isinstance(found, dict) or not isinstance(found.get("labels"), dict):
        raise ValueError("JSON must be a list of records, or have labels by file")
    classes, labels = found.get("classes"), found["labels"]

    def say(one: object) -> str:
        if isinstance(one, int) and classes:
            if not 0 <= one < len(classes):
                raise ValueError(f"a label is {one}, but there are {len(classes)} classes")
            return str(classes[one])
        return _say(one.get("label", "") if isinstance(one, dict) else one)

    return {"file": [str(one) for one in labels], "label": [say(one) for one in labels.values()]}


def _join_records(rows: Sequence[object]) -> dict[str, list[str]]:
    """Return the columns of records; those inside records are named with a dot."""
    flat = []
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError("a line must be a record of names and values")
        flat.append(dict(_flatten(row)))
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: [row.get(name, "") for row in flat] for name in names}


def _flatten(row: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _say(value)


def _say(value: object) -> str:
    if isinstance(value, list):
        return SEVERAL.join(str(one) for one in value)
    return "" if value is None else str(value)


def find_column(table: Table, what: str, asked: str | None) -> str | None:
    """Return the column that is asked for, or one of a usual name; None where there is none."""
    known = [*table.columns, *table.cells]
    if asked is not None:
        if asked not in known:
            raise DataError(
                f"--{what}-column must name a column of {table.name} ({', '.join(known)}), but got "
                f"{asked!r}{suggest_name(asked, known)}"
            )
        return asked
    plain = {_simplify(name): name for name in reversed(known)}
    if what == "image" and len(table.cells) == 1:
        return next(iter(table.cells))
    nested = [name for name in known if name.endswith(".label")]
    found = next((plain[name] for name in USUAL[what] if name in plain), None)
    return nested[0] if what == "label" and found is None and nested else found


def _simplify(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _list_rows(
    table: Table,
    listing: Listing,
    settings: ReadSettings,
    missing: list[str],
) -> None:
    """Add the rows of a table to a listing; what is not found is added to ``missing``."""
    image = find_column(table, "image", settings.image_column)
    if image is None:
        raise DataError(
            f"{table.name} must have a column of images, but has {', '.join(table.columns)}; name "
            "it by --image-column"
        )
    split = find_column(table, "split", settings.split_column)
    if split and not settings.split_column:
        odd = [value for value in table.columns[split] if not find_role(value)]
        if odd and len(odd) < table.count:
            listing.notes.append(
                f"the column {split} of {table.name} is not used as the split, for "
                f"{len(odd):,} of {table.count:,} rows say {odd[0]!r} or the like; name it by "
                "--split-column if it is"
            )
        split = None if odd else split  # a column of that name, and of other things
    none = settings.group_column == NONE and NONE not in table.columns
    group = None if none else find_column(table, "group", settings.group_column)
    label = find_column(table, "label", settings.label_column)
    used = {image, split, group, label}
    for name in (split, group, label):
        if name in table.cells:
            raise DataError(f"{table.name} has bytes in the column {name}; write texts or numbers")
    labels, hot = table.columns[label] if label else [], set[str]()
    if label is None:
        labels, hot = _read_one_hot(table, used)
    if not labels and table.role == "test":
        listing.notes.append(f"{table.name} has no labels: left out")
        return
    if not labels:
        raise DataError(
            f"{table.name} must have a column of labels, but has {', '.join(table.columns)}; name "
            "it by --label-column"
        )
    _refuse_several(table.name, labels)
    facts = [name for name in table.columns if name not in used | hot]
    listing.columns = tuple(dict.fromkeys((*listing.columns, *facts)))
    if image in table.cells:
        contents: Sequence[Content | None] = table.cells[image]
        shown = [f"{table.name}/{row}" for row in range(table.count)]
    else:
        shown = [one.replace("\\", "/") for one in table.columns[image]]
        contents = find_images(table, shown)
    empty = 0
    for row, content in enumerate(contents):
        said = show_name(f"{table.folder}{shown[row]}")
        if not labels[row] or not shown[row]:
            empty += 1
        elif content is None:
            missing.append(said)
        else:
            own = table.role or (_read_role(table.name, table.columns[split][row]) if split else "")
            values = tuple(
                table.columns[name][row].replace(SEVERAL, "|") if name in table.columns else ""
                for name in listing.columns
            )
            named = table.columns[group][row] if group else ""
            listing.files.append(Listed(content, said, show_name(labels[row]), own, named, values))
    if empty:
        listing.notes.append(
            f"rows of {table.name} without an image or a label, left out: {empty:,} of "
            f"{table.count:,}"
        )
    if group:
        note = f"images of one {group} are a group, which no split divides"
        if not settings.group_column:
            note += f" (--group-column {NONE}: they are none)"
        listing.notes.append(note)


def _read_role(table: str, value: str) -> str:
    role = find_role(value)
    if value and not role:
        raise DataError(
            f"a split must be train, val or test, but {table} says {value!r}; name another column "
            "by --split-column, or mend it"
        )
    return role


def find_images(table: Table, paths: Sequence[str]) -> list[Content | None]:
    """Return where the images of paths lie: in the folder beside the table that holds most.

    Those that are not there may lie in any folders below, if each lies in one alone. A path may
    lack the file's ending.
    """
    stem = PurePosixPath(table.name).stem
    places = (*PLACES, stem, f"{stem}_images")
    endings = ("", ".jpg", ".png", ".jpeg", *sorted(SUFFIXES))

    def look(place: str, path: str, among: Sequence[str]) -> Content | None:
        for ending in among:
            if content := table.find("/".join(part for part in (place, f"{path}{ending}") if part)):
                return content
        return None

    sample = [path for path in paths if path][:: max(1, len(paths) // LOOKED)]

    def list_held(place: str) -> set[str]:
        return {path for path in sample if look(place, path, endings) is not None}

    held = {place: list_held(place) for place in places}
    best = max(places, key=lambda place: len(held[place]))
    chosen = [best]
    if len(held[best]) < len(set(sample)):
        others = {
            place: own for place in table.find.list_folders()
            if place not in places and (own := list_held(place) - held[best])
        }  # fmt: skip
        if sum(map(len, others.values())) == len(set[str]().union(*others.values())):
            chosen += others  # no image lies in two of them
    found: list[Content | None] = []
    usual = endings
    for path in paths:
        tries = (look(place, path, usual) for place in chosen) if path else ()
        content = next((one for one in tries if one is not None), None)
        if isinstance(content, FileContent):  # most have the same ending
            ending = content.path.name[len(PurePosixPath(path).name) :]
            usual = (ending, *(one for one in endings if one != ending))
        found.append(content)
    return found


def _read_one_hot(table: Table, used: set[str | None]) -> tuple[list[str], set[str]]:
    """Return labels from columns of 0 and 1 of which one is 1 in each row, and those columns."""
    marks = {"0": False, "1": True, "0.0": False, "1.0": True, "False": False, "True": True}
    hot = [
        name
        for name, values in table.columns.items()
        if name not in used and values and set(values) <= marks.keys()
    ]
    if len(hot) < 2:
        return [], set()
    labels = []
    for row in range(table.count):
        named = [name for name in hot if marks[table.columns[name][row]]]
        if len(named) > 1:
            raise DataError(
                f"an image must have one class, but row {row + 1} of {table.name} has "
                f"{' and '.join(named[:3])}; several labels an image are not supported: choose one "
                "column by --label-column"
            )
        labels.append(named[0] if named else "")
    return labels, set(hot)


def _refuse_several(name: str, labels: Sequence[str]) -> None:
    """Refuse labels that list several classes."""
    known = {one.strip() for one in labels}
    if several := next((one for one in labels if SEVERAL in one), None):
        raise DataError(
            f"an image must have one class, but {name} says {several.split(SEVERAL)}; several "
            "labels an image are not supported: keep one"
        )
    for mark in "|;,":
        listed = [
            one for one in labels if mark in one and {p.strip() for p in one.split(mark)} <= known
        ]
        if len(listed) > len(labels) / 20:
            raise DataError(
                f"an image must have one class, but {name} says {listed[0]!r}; several labels an "
                "image are not supported: keep one"
            )


def _join_rows(listing: Listing) -> None:
    """Keep one row of each image; refuse images that have two classes or splits."""
    first: dict[Content, Listed] = {}
    for file in listing.files:
        known = first.setdefault(file.content, file)
        for what, one, other in (
            ("class", known.class_name, file.class_name),
            ("split", known.role, file.role),
        ):
            if one != other:
                raise DataError(
                    f"an image must have one {what}, but {file.shown} has {one or 'none'} and "
                    f"{other or 'none'}; keep one of its rows"
                )
    if doubled := len(listing.files) - len(first):
        listing.notes.append(f"rows that name an image again, read once: {doubled:,}")
        listing.files = list(first.values())
