"""Images that a person, or an inspection, leaves out: named in a file, never touched."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tellapart.data.dataset import Dataset, ImageSource, Indices, Pixels
from tellapart.data.listing import count_images, show_name
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
        DataError: it cannot be read, names none of the images, or leaves a class without any.
    """
    names = read_names(path)
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
    kept = np.bincount(dataset.labels[rows], minlength=len(dataset.classes))
    if not kept.all():
        lost = [name for name, count in zip(dataset.classes, kept, strict=True) if not count]
        raise DataError(
            f"--exclude must leave images of every class, but leaves none of {', '.join(lost)}; "
            "leave fewer out"
        )
    note = f"left out by {path.name}: {count_images(left)}"
    if unknown:
        note += f"; {len(unknown):,} names in it are of none, such as {show_name(unknown[0])}"
    return take_rows(dataset, np.array(rows, np.int64), note)


def take_rows(dataset: Dataset, rows: Indices, note: str) -> Dataset:
    """Return some images of a dataset, with a note of why."""

    def take(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[row] for row in rows.tolist()) if values else ()

    facts = {name: take(values) for name, values in dataset.facts.items()}
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
        hashes=take(dataset.hashes),
        roles=take(dataset.roles),
        files=take(tuple(map(dataset.name_row, range(len(dataset))))),
        names=take(dataset.names),
        facts=facts,
        copies=(),
        notes=(*dataset.notes, note),
    )


def read_names(path: Path) -> set[str]:
    """Return the paths and hashes in a file of ``--exclude``."""
    try:
        text = path.read_text("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--exclude {path} cannot be read ({error}); give a CSV file") from error
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
