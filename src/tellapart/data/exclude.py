"""Images that a person, or an inspection, leaves out: named in a file, never touched."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tellapart.data.dataset import Dataset, ImageSource, Indices, Pixels, list_untrained
from tellapart.data.listing import count_images, show_name
from tellapart.data.tone import Tone
from tellapart.errors import DataError
from tellapart.workspace import write_text

NAMES = ("file", "hash")
"""Columns by which images may be named."""


@dataclass(frozen=True, eq=False)
class SelectedSource:
    """Some images of a source."""

    source: ImageSource
    rows: Indices

    @property
    def streamed(self) -> bool:
        return self.source.streamed

    @property
    def tone(self) -> Tone:
        return self.source.tone

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        return self.source.read(self.rows[indices], size)

    @property
    def resize(self) -> Callable[[int], ImageSource] | None:
        """What the source has: none where it holds pixels."""
        resize = getattr(self.source, "resize", None)
        return resize and (lambda size: replace(self, source=resize(size)))

    @property
    def share(self) -> Callable[[Path], ImageSource] | None:
        """What the source has."""
        share = getattr(self.source, "share", None)
        return share and (lambda path: replace(self, source=share(path)))


def exclude_images(dataset: Dataset, path: Path) -> Dataset:
    """Return a dataset without the images that a file names, by their hashes or their paths.

    The file is a CSV with columns ``file`` or ``hash``, or has a path a line.

    Raises:
        DataError: it cannot be read, names none of the images, or leaves a class without any to
            train on.
    """
    names = read_names(path)
    if not names:
        return replace(dataset, notes=(*dataset.notes, f"{path.name} names no image to leave out"))
    rows = [
        row
        for row in range(len(dataset))
        if dataset.hashes[row] not in names and dataset.name_row(row) not in names
    ]
    left = len(dataset) - len(rows)
    known = {*dataset.hashes, *map(dataset.name_row, range(len(dataset)))}
    unknown = sorted(names - known)
    if not left:
        raise DataError(
            f"--exclude must name images of {dataset.name}, but of the {len(names):,} names in "
            f"{path} it has none; give their paths below DATA, or their hashes"
        )
    if lost := list_untrained(dataset.classes, dataset.labels[rows], take(dataset.roles, rows)):
        raise DataError(
            f"--exclude must leave images of every class to train on, but leaves none of "
            f"{', '.join(lost)}; leave fewer out"
        )
    note = f"left out by {path.name}: {count_images(left)}"
    if unknown:
        note += f"; {len(unknown):,} names in it are of none, such as {show_name(unknown[0])}"
    return take_rows(dataset, np.array(rows, np.int64), note)


def take(values: tuple[str, ...], rows: Sequence[int]) -> tuple[str, ...]:
    """Return the values of some rows, if there are any."""
    return tuple(values[row] for row in rows) if values else ()


def take_rows(dataset: Dataset, rows: Indices, note: str) -> Dataset:
    """Return some images of a dataset, with a note of why."""
    places = rows.tolist()
    facts = {name: take(values, places) for name, values in dataset.facts.items()}
    sizes, modes = dataset.sizes, dataset.modes
    if "width" in facts:
        sides = zip(facts["width"], facts["height"], strict=True)
        sizes = dict(Counter(f"{width}x{height}" for width, height in sides).most_common())
        modes = dict(Counter(facts["mode"]).most_common())
    return replace(
        dataset,
        sizes=sizes,
        modes=modes,
        origin=f"{dataset.origin}, of which {len(rows):,} are taken",
        labels=dataset.labels[rows],
        source=SelectedSource(dataset.source, rows),
        hashes=take(dataset.hashes, places),
        roles=take(dataset.roles, places),
        files=take(tuple(map(dataset.name_row, range(len(dataset)))), places),
        names=take(dataset.names, places),
        facts=facts,
        copies=(),
        notes=(*dataset.notes, note),
    )


def read_names(path: Path) -> set[str]:
    """Return the paths and hashes in a file of ``--exclude``."""
    try:
        text = path.read_text("utf-8-sig")
        head = text.partition("\n")[0]
        mark = ";" if head.count(";") > head.count(",") else ","  # as some spreadsheets write it
        reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
        lines = [line for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise DataError(f"--exclude {path} cannot be read ({said}); give a CSV file") from error
    if lines and set(lines[0]) & set(NAMES):
        places = [place for place, name in enumerate(lines[0]) if name in NAMES]
        lines = [[line[place] for place in places if place < len(line)] for line in lines[1:]]
    else:
        lines = [line[:1] for line in lines]
    return {name for line in lines for name in line if name}


def write_names(path: Path, reasons: Mapping[str, str]) -> Path:
    """Write the names of images that should be left out, with the reason, for ``--exclude``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "reason"))
    writer.writerows(reasons.items())
    return write_text(path, text.getvalue())
