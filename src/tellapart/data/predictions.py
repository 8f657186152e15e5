"""Predictions of any tool, read: a CSV file a model, or one with a column a model."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tellapart.config import Settings
from tellapart.errors import DataError, suggest_name

USUAL = {
    "id": ("file", "id", "image", "image_id", "path", "filename", "name", "row", "hash"),
    "true": ("true", "label", "target", "y_true", "truth", "actual"),
    "predicted": ("predicted", "prediction", "pred", "y_pred"),
    "seed": ("seed",),
    "group": ("group",),
}
"""Names that columns usually have, the likeliest first."""
OURS = ("row", "hash", "correct", "probability")
"""Columns of ``predictions.csv`` that are of no model."""
SLACK = 0.01
"""By how much the probabilities of an image may miss 1 in all: files round them."""


class Columns(Settings):
    """What columns are called, where it is not one of their usual names."""

    id: str | None = None
    true: str | None = None
    predicted: str | None = None
    seed: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Model:
    """What one model, or the trainings of one recipe by seed, made of images.

    ``truth`` has the true class of each image by name; ``probabilities`` those of classes, where
    the file has them, by seed and image; ``groups`` those of images.
    """

    name: str
    truth: dict[str, str]
    predicted: dict[str, dict[str, str]]
    probabilities: dict[str, dict[str, dict[str, float]]]
    groups: dict[str, str]


def read_models(path: Path, name: str, columns: Columns) -> list[Model]:
    """Read the model of a file, or one a column where none is called predicted.

    Raises:
        DataError: it cannot be read, lacks a column, or what a line says cannot be.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            lines, heads = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file that can be read ({error})") from error
    if not lines or any(None in line or None in line.values() for line in lines):
        raise DataError(f"{path} must have a line of names and as many values in each other line")
    found = {what: _find_column(path, heads, lines, what, getattr(columns, what)) for what in USUAL}
    for what in ("id", "true"):
        if found[what] is None:
            raise DataError(
                f"{path} must have a column {USUAL[what][0]}, but has {', '.join(heads)}; "
                f"name it with --{what}-column"
            )
    named = [name for name in found.values() if name is not None]
    if found["predicted"] is not None:
        return [_read_model(path, name, found["predicted"], found, heads, lines)]
    classes = {line[str(found["true"])] for line in lines}
    others = [name for name in heads if name not in named and name not in OURS]
    models = []
    for one in others:
        odd = [line[one] for line in lines if line[one] not in classes]
        if not odd:
            models.append(one)
        elif len(odd) < len(lines) / 2:  # a model, then, and not something else of the images
            raise DataError(
                f"{path} must predict classes that there are, but column {one} says {odd[0]!r}; "
                "give each model a file, with p(CLASS) of every class"
            )
    if not models:
        raise DataError(
            f"{path} must have a column predicted, or one of predicted classes a model, but has "
            f"{', '.join(heads)}; name it with --predicted-column"
        )
    return [_read_model(path, one, one, found, heads, lines) for one in models]


def _find_column(
    path: Path, heads: list[str], lines: list[dict[str, str]], what: str, asked: str | None
) -> str | None:
    if asked is not None:
        if asked not in heads:
            raise DataError(
                f"--{what}-column must name a column of {path} ({', '.join(heads)}), but got "
                f"{asked!r}{suggest_name(asked, heads)}"
            )
        return asked
    lower = {name.lower(): name for name in heads}
    there = [lower[name] for name in USUAL[what] if name in lower]
    # the names of images are empty in predictions of data that have no files
    return next((name for name in there if what != "id" or all(one[name] for one in lines)), None)


def _read_model(
    path: Path,
    name: str,
    column: str,
    found: Mapping[str, str | None],
    heads: list[str],
    lines: list[dict[str, str]],
) -> Model:
    true, seed, group = str(found["true"]), found["seed"], found["group"]
    model = Model(name, {}, {}, {}, {})
    classes = {line[true] for line in lines}
    likely = {head[2:-1]: head for head in heads if head.startswith("p(") and head.endswith(")")}
    likely |= {head[2:]: head for head in heads if head.startswith("p_")}
    for line in lines:
        image, training = line[str(found["id"])], line[seed] if seed else ""
        own = model.predicted.setdefault(training, {})
        if image in own:
            raise DataError(f"{path} must name each image once, but names {image!r} twice")
        if line[column] not in classes and line[column] not in likely:
            raise DataError(
                f"{path} must predict classes that there are, but says {line[column]!r} of "
                f"{image!r}{suggest_name(line[column], sorted(classes))}"
            )
        if model.truth.setdefault(image, line[true]) != line[true]:
            raise DataError(f"{path} gives {image!r} two true classes; give it one")
        own[image] = line[column]
        if group:
            model.groups[image] = line[group]
        if likely and column == found["predicted"]:
            own_likely = model.probabilities.setdefault(training, {})
            own_likely[image] = _read_probabilities(path, image, line, likely)
    for training, own in model.predicted.items():
        if own.keys() != model.truth.keys():
            raise DataError(
                f"{path} must have the same images for each seed, but seed {training} lacks "
                f"{next(iter(model.truth.keys() - own.keys()))!r}"
            )
    return model


def _read_probabilities(
    path: Path, image: str, line: Mapping[str, str], likely: Mapping[str, str]
) -> dict[str, float]:
    try:
        values = {name: float(line[head]) for name, head in likely.items()}
    except ValueError as error:
        raise DataError(f"{path} must have numbers as probabilities ({error})") from error
    total = sum(values.values())
    if not abs(total - 1) <= SLACK or min(values.values()) < 0:
        raise DataError(
            f"the probabilities of an image sum to 1, but those of {image!r} in {path} to {total:g}"
        )
    return values
