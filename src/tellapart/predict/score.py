"""How well a model does on new images whose classes are known."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from tellapart.config import ReadSettings
from tellapart.data.content import FileContent
from tellapart.data.listing import show_name
from tellapart.data.tables import Source, find_beside, find_column, read_table
from tellapart.errors import DataError, suggest_name
from tellapart.metrics.intervals import compare_shares, estimate_share
from tellapart.predict.answers import Answers
from tellapart.predict.inputs import Item
from tellapart.records import Estimate, PredictorArgs

FOLDERS = "folders"
"""Says that images lie in folders of their classes."""


def label_items(items: Sequence[Item], labels: str, classes: Sequence[str]) -> list[Item]:
    """Return images with their classes, from the folders they lie in or from a table.

    Args:
        labels: ``folders``, or the path of a table with a column of files and one of classes.

    Raises:
        DataError: an image has none, or one that the model does not know.
    """
    if labels == FOLDERS:
        known = [item.label for item in items]
    else:
        table = _read_labels(Path(labels).expanduser())
        known = [table.get(item.name, table.get(PurePath(item.name).name, "")) for item in items]
    for item, label in zip(items, known, strict=True):
        if label not in classes:
            raise DataError(
                f"--labels must give each image one of the classes {', '.join(classes[:5])}"
                f"{', ...' if len(classes) > 5 else ''}, but gives {item.name} "
                f"{label or 'none'!r}{suggest_name(label, classes)}"
            )
    return [replace(item, label=label) for item, label in zip(items, known, strict=True)]


def has_labels(items: Sequence[Item], classes: Sequence[str]) -> bool:
    """Tell whether every image is said to be of a class that the model knows."""
    return bool(items) and all(item.label in classes for item in items)


def _read_labels(path: Path) -> dict[str, str]:
    find = find_beside(path.resolve().parent, ReadSettings())
    try:
        table = read_table(Source(path.name, FileContent(path), find))
    except csv.Error as error:
        raise DataError(f"--labels {path} is no table that can be read ({error})") from error
    image, label = (find_column(table, what, None) for what in ("image", "label"))
    if image not in table.columns or label not in table.columns:
        raise DataError(
            f"--labels {path} must have a column file and a column label, but has "
            f"{', '.join(table.columns)}; rename them"
        )
    names = [show_name(name) for name in table.columns[image]]
    return dict(zip(names, table.columns[label], strict=True))


@dataclass(frozen=True)
class NewScore:
    """The accuracy on new images, beside the study's own; and on those that were answered.

    ``chance`` is how likely chance alone makes the first two differ as much.
    """

    accuracy: Estimate
    answered: Estimate
    own: Estimate
    chance: float


def score_answers(answers: Answers, args: PredictorArgs, threshold: float = 0.0) -> NewScore:
    """Return the accuracy on images of known classes, and whether the study's differs from it.

    Those below a ``threshold`` of confidence are not answered.
    """
    truth = np.array([answers.classes.index(item.label) for item in answers.items])
    right, own = answers.probabilities.argmax(1) == truth, args.accuracy
    shares = (int(right.sum()), len(right)), (round(own.value * own.n), own.n)
    sure = right[answers.confidence >= threshold]
    return NewScore(estimate_share(right), estimate_share(sure), own, compare_shares(*shares))
