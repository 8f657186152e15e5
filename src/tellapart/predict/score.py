"""How well a model does on new images whose classes are known, and what it answers in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from tellapart.config import ReadSettings
from tellapart.data.content import FileContent
from tellapart.data.listing import show_name
from tellapart.data.tables import Source, find_beside, find_column, read_table
from tellapart.errors import DataError, suggest_name
from tellapart.metrics.intervals import compare_shares, estimate_proportion
from tellapart.predict.answers import Answers
from tellapart.predict.inputs import Item
from tellapart.records import Estimate, PredictorArgs

FOLDERS = "folders"
"""Says that images lie in folders of their classes."""


def label_items(items: Sequence[Item], labels: str, classes: Sequence[str]) -> list[Item]:
    """Return images with their classes, from the folders they lie in or from a table.

    A row of a table is of the image whose path ends in what it says.

    Args:
        labels: ``folders``, or the path of a table with a column of files and one of classes.

    Raises:
        DataError: an image has none, or one that the model does not know.
    """
    known = [item.label for item in items] if labels == FOLDERS else _find_labels(items, labels)
    for item, label in zip(items, known, strict=True):
        if label not in classes:
            lacking = sum(not one for one in known)
            if labels != FOLDERS and lacking:
                raise DataError(
                    f"--labels must have a row for each image, but {labels} has none for "
                    f"{lacking:,} of {len(items):,}, such as {item.name}; add them"
                )
            raise DataError(
                f"--labels must give each image one of the classes {', '.join(classes[:5])}"
                f"{', ...' if len(classes) > 5 else ''}, but gives {item.name} "
                f"{label or 'none'!r}{suggest_name(label, classes)}"
            )
    return [replace(item, label=label) for item, label in zip(items, known, strict=True)]


def has_labels(items: Sequence[Item], classes: Sequence[str]) -> bool:
    """Tell whether every image is said to be of a class that the model knows."""
    return bool(items) and all(item.label in classes for item in items)


def _find_labels(items: Sequence[Item], labels: str) -> list[str]:
    table = _read_labels(Path(labels).expanduser())
    found, taken = [], dict[str, str]()
    for item in items:
        parts = PurePosixPath(item.name.replace("\\", "/")).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        row = next((end for end in (item.name, *ends) if end in table), "")
        if row and taken.setdefault(row, item.name) != item.name:
            raise DataError(
                f"--labels must say which image a row is of, but {row} may be {taken[row]} or "
                f"{item.name}; give more of their paths there"
            )
        found.append(table.get(row, ""))
    return found


def _read_labels(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"--labels must be folders or a table, but {path} is not there")
    find = find_beside(path.resolve().parent, ReadSettings())
    table = read_table(Source(path.name, FileContent(path), find))
    image, label = (find_column(table, what, None) for what in ("image", "label"))
    if image not in table.columns or label not in table.columns:
        raise DataError(
            f"--labels {path} must have a column file and a column label, but has "
            f"{', '.join(table.columns)}; rename them"
        )
    names = [show_name(name) for name in table.columns[image]]
    return dict(zip(names, table.columns[label], strict=True))


@dataclass
class Tally:
    """What came of images so far: counts alone, whatever their number.

    ``counts`` are the answers by class; ``unsure`` images are below the ``threshold``; ``unlike``,
    ``odd`` and ``known`` ones are as in `Answers`. Of images whose class is said ``right`` were
    classified right, and of those that were answered ``right_answers``.
    """

    threshold: float = 0.0
    images: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unsure: int = 0
    unlike: int = 0
    odd: int = 0
    known: int = 0
    right: int = 0
    right_answers: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, part: Answers) -> None:
        """Count some answers in."""
        sure = part.confidence >= self.threshold
        right = np.array(part.labels, str) == np.array([item.label for item in part.items], str)
        self.images += len(part)
        self.counts.update(label for label, one in zip(part.labels, sure, strict=True) if one)
        self.unsure += int((~sure).sum())
        self.unlike += 0 if part.unlike is None else int(part.unlike.sum())
        self.odd += int(part.odd.sum())
        self.right += int(right.sum())
        self.right_answers += int((right & sure).sum())
        self.known += part.known
        self.failed += part.failed


@dataclass(frozen=True)
class NewScore:
    """The accuracy on new images, beside the study's own; and on those that were answered.

    ``chance`` is how likely chance alone makes the first two differ as much.
    """

    accuracy: Estimate
    answered: Estimate
    own: Estimate
    chance: float
    optimistic: bool


def score_tally(tally: Tally, args: PredictorArgs) -> NewScore:
    """Return the accuracy on images of known classes, and whether the study's differs from it."""
    own, answered = args.accuracy, tally.images - tally.unsure
    of = args.effective or own.n
    return NewScore(
        estimate_proportion(tally.right, tally.images),
        estimate_proportion(tally.right_answers, answered),
        own,
        compare_shares((tally.right, tally.images), (own.value * of, of)),
        args.optimistic,
    )
