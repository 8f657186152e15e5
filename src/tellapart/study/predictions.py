"""Predictions of any tool, compared: a file a model, or a column a model."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tellapart.config import Settings
from tellapart.errors import DataError, suggest_name
from tellapart.metrics.comparisons import compare_pairs
from tellapart.metrics.intervals import average_estimates, pool_spread
from tellapart.metrics.probabilities import measure_labels, measure_scores
from tellapart.metrics.ranking import Images, rank_candidates
from tellapart.records import ALPHA, Estimate, PredictedModel, PredictionsRecord
from tellapart.report.wording import (
    NUMBERS,
    say_comparison,
    say_count,
    say_estimate,
    say_figure,
    say_metric,
    say_points,
)

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


def compare_predictions(
    files: Sequence[str | Path], columns: Columns | None = None
) -> PredictionsRecord:
    """Compare models by what they made of the same images.

    Models with one training are compared image by image (`compare_pairs`); where there are several
    by seed, recipes are compared over images and seeds (`rank_candidates`).

    Args:
        files: CSV files, each of one model, or one of all models with a column each.
        columns: their names, where they are unusual.

    Raises:
        DataError: a file cannot be read, lacks a column, names an image twice, or has other images,
            true classes or groups than the first; or fewer than two models.
    """
    paths = [Path(file) for file in files]
    alike = len({path.stem for path in paths}) < len(paths)
    models = [
        one
        for path in paths
        for one in read_models(path, str(path) if alike else path.stem, columns or Columns())
    ]
    names = [one.name for one in models]
    if len(models) < 2:
        raise DataError(f"compare needs at least two models, but got {len(models)}; name another")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"models must have names of their own, but two are called {twice[0]}")
    first = models[0]
    for other in models[1:]:
        _check_alike(first, other)
    ids, classes = list(first.truth), sorted({*first.truth.values(), *_name_predicted(models)})
    place = {name: number for number, name in enumerate(classes)}
    truth = np.array([place[first.truth[one]] for one in ids])
    seeds = sorted({seed for model in models for seed in model.predicted})
    predicted = [
        {
            seeds.index(seed): np.array([place[own[one]] for one in ids])
            for seed, own in model.predicted.items()
        }
        for model in models
    ]
    groups = None
    if first.groups:
        groups = np.unique([first.groups[one] for one in ids], return_inverse=True)[1]
        if groups.max() < 1:
            raise DataError("groups must be two at least, but all images are of one; use no group")
    ranking = rank_candidates(
        Images(truth, len(classes), groups=groups), predicted, costs=[1.0] * len(models)
    )
    far = [models[one.place].name + f", seed {seeds[one.seed]}" for one in ranking.far]
    for one in ranking.far:
        del predicted[one.place][one.seed]
    correct = {
        name: next(iter(own.values())) == truth for name, own in zip(names, predicted, strict=True)
    }
    alone = all(len(own) == 1 for own in predicted)
    labels = {name: name for name in names}
    measured: list[list[dict[str, Estimate]]] = []
    for model, own in zip(models, predicted, strict=True):
        measured.append([])
        for seed, named in own.items():
            likely = model.probabilities.get(seeds[seed])
            if likely is None:
                measured[-1].append(measure_labels(truth, named, len(classes), groups))
                continue
            every = dict.fromkeys((*classes, *likely[ids[0]]))  # some may be of no image
            table = np.array([[likely[one].get(name, 0.0) for name in every] for one in ids])
            measured[-1].append(measure_scores(truth, table, groups, named))
    return PredictionsRecord(
        images=len(ids),
        groups=None if groups is None else int(groups.max()) + 1,
        classes=tuple(classes),
        models=tuple(
            PredictedModel(
                name=model.name,
                trainings=len(own),
                scores=scores,
            )
            for model, own, scores in zip(models, predicted, _average(measured), strict=True)
        ),
        ranking=ranking,
        left_out=tuple(far),
        comparisons=compare_pairs(correct, labels, say_comparison, groups=groups) if alone else (),
    )


def _average(measured: Sequence[Sequence[dict[str, Estimate]]]) -> list[dict[str, Estimate]]:
    """Return the mean scores of each model over its trainings, by how much those of all vary."""
    found: list[dict[str, Estimate]] = [{} for _ in measured]
    for name in dict.fromkeys(name for own in measured for name in own[0]):
        having = [own for own in measured if name in own[0]]
        spread, freedom = pool_spread([[one[name].value for one in own] for own in having])
        most = math.inf if name in NUMBERS else 1.0
        for own, means in zip(measured, found, strict=True):
            if name in own[0]:
                parts = [one[name] for one in own]
                means[name] = average_estimates(parts, spread, freedom, most)
    return found


def _name_predicted(models: Sequence[Model]) -> set[str]:
    return {name for one in models for own in one.predicted.values() for name in own.values()}


def _check_alike(first: Model, other: Model) -> None:
    ours, theirs = first.truth, other.truth
    if bool(first.groups) != bool(other.groups):
        raise DataError(
            f"groups are of all files or of none, but of {first.name} and {other.name} one has "
            "them; give both the same"
        )
    if ours.keys() != theirs.keys():
        missing = next(iter(ours.keys() ^ theirs.keys()))
        lacks = other.name if missing in ours else first.name
        raise DataError(
            f"models are compared on the same images, but {lacks} lacks {missing!r} (and "
            f"{len(ours.keys() ^ theirs.keys()) - 1} more differ); predict the same images"
        )
    for what, mine, yours in (
        ("true class", ours, theirs),
        ("group", first.groups, other.groups),
    ):
        odd = next((one for one in mine if mine[one] != yours.get(one)), None)
        if odd is not None:
            raise DataError(
                f"an image has one {what}, but {odd!r} is {mine[odd]!r} in {first.name} and "
                f"{yours.get(odd)!r} in {other.name}; give both the same"
            )


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


def describe_predictions(record: PredictionsRecord) -> str:
    """Return what a person reads: a line a model, best first, and which can be told apart."""
    rows = sorted(
        zip(record.models, record.ranking.candidates, strict=True), key=lambda row: -row[1].score
    )
    wide = max(len(model.name) for model in record.models)
    groups = "" if record.groups is None else f" in {record.groups:,} groups"
    lines = [f"{record.images:,} images{groups}, {len(record.classes)} classes"]
    for model, one in rows:
        beside = "".join(
            f", {say_metric(name)} {say_figure(name, model.scores[name].value)}"
            for name in ("macro_f1", "log_loss")
            if name in model.scores
        )
        behind = f"{100 * one.loss:.1f} points behind ({100 * one.low:.1f} to {100 * one.high:.1f})"
        lines.append(
            f"{model.name:<{wide}}  {say_estimate(model.scores['accuracy'])}{beside}  "
            f"{behind if one.loss > 0 else 'best'}"
            + (f"  {say_count(model.trainings, 'training')}" if model.trainings > 1 else "")
        )
    if record.left_out:
        lines.append(f"Left out, for it is far below the others: {'; '.join(record.left_out)}.")
    tied = [model.name for model, one in rows if one.possible]
    if len(rows) > 2:
        others = ", ".join(tied[1:])
        lines.append(
            f"Not told from the best, {tied[0]}: {others}." if others else f"{tied[0]} is the best."
        )
    said = [one.sentence for one in record.comparisons if one.sentence]
    if said:
        lines += ["", *said]
    elif record.comparisons:
        told = {
            frozenset((one.first, one.second)): one.p_value < ALPHA for one in record.comparisons
        }
        near = [told[frozenset((a.name, b.name))] for (a, _), (b, _) in pairwise(rows)]
        lines.append(
            f"Of {len(told)} pairs {sum(told.values())} can be told apart, of the {len(near)} "
            f"neighbours in this order {sum(near)} (McNemar, corrected by Holm for all pairs)."
        )
    elif len(rows) == 2:
        (best, _), (other, one) = rows
        verb = "is better than" if not one.possible else "cannot be told from"
        lines.append(
            f"Over images and trainings {best.name} {verb} {other.name}: {say_points(one.loss)} "
            f"({100 * one.low:.1f} to {100 * one.high:.1f})."
        )
    return "\n".join(lines)
