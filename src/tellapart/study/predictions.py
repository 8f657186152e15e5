"""Predictions of any tool, compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tellapart.data.predictions import Columns, Model, read_models
from tellapart.errors import DataError
from tellapart.metrics.comparisons import compare_pairs
from tellapart.metrics.intervals import average_estimates, pool_spread
from tellapart.metrics.probabilities import measure_labels, measure_scores
from tellapart.metrics.ranking import Images, rank_candidates
from tellapart.records import Estimate, PredictedModel, PredictionsRecord
from tellapart.report.wording import NUMBERS, say_comparison


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
