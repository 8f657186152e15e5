"""Final models compared on the test images that they share: of one study, or of several."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tellapart import __version__
from tellapart.data.split import Manifest
from tellapart.errors import DataError, WorkspaceError
from tellapart.evaluate import PREDICTIONS, read_correct
from tellapart.metrics.comparisons import compare_pairs, find_detectable
from tellapart.records import (
    ALPHA,
    ComparedRun,
    Comparison,
    ComparisonRecord,
    Identity,
    ModelRanking,
    ModelStep,
    StudyRecord,
    TransferStep,
    find_kind,
)
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_comparison, say_estimate, say_p, say_points
from tellapart.study.context import Context
from tellapart.workspace import IDENTITY, expand_path, read_checked, read_record


@dataclass(frozen=True)
class Found:
    """A step that ended in a model: where its study is, and what it says."""

    study: Path
    step: str
    record: ModelStep

    @property
    def predictions(self) -> Path:
        """The file of what the model made of each test image."""
        return self.study / self.record.run.folder / PREDICTIONS


def compare_models(folders: Sequence[str | Path]) -> ComparisonRecord:
    """Compare every two models by the test images that each got right.

    Args:
        folders: of studies, each standing for all its models, or of their steps.

    Raises:
        WorkspaceError: a folder is none of these, is unfinished, or a file in it was altered.
        DataError: fewer than two models, one given twice, or models of other images or splits.
    """
    found = [one for folder in folders for one in find_models(folder)]
    keys = [one.study.resolve() / one.step for one in found]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise DataError(
            f"a run is compared with others, but {twice[0]} is given twice; name each run once"
        )
    if len(found) < 2:
        raise DataError(
            f"compare needs at least two models, but got {len(found)}"
            f"{' in ' if folders else ''}{' '.join(map(str, folders))}; name another run"
        )
    check_alike(found)
    named = dict(zip(name_models(found), found, strict=True))
    correct, groups = read_correct({name: one.predictions for name, one in named.items()})
    return ComparisonRecord(
        version=__version__,
        data=read_record(found[0].study / IDENTITY, Identity).data,
        runs=tuple(
            ComparedRun(
                name=name,
                folder=str(one.predictions.parent),
                model=one.record.model,
                score=one.record.test.scores["accuracy"],
                optimistic=one.record.test.optimistic,
            )
            for name, one in named.items()
        ),
        comparisons=compare_pairs(
            correct, {name: name for name in named}, say_comparison, groups=groups
        ),
    )


def find_models(folder: str | Path) -> list[Found]:
    """Return the tested models of a study's folder, or of one step's.

    Raises:
        WorkspaceError: it is neither, or is unfinished, or predictions are not as they were.
    """
    folder = expand_path(folder)
    if (folder / IDENTITY).is_file():
        study, steps = folder, tuple(SECTIONS)
    elif folder.name in SECTIONS and (folder.parent / IDENTITY).is_file():
        study, steps = folder.parent, (folder.name,)
    else:
        raise WorkspaceError(
            f"a run is the folder of a study or of one of its steps, but {folder} is "
            f"{'another folder' if folder.is_dir() else 'not there'}; "
            "name one such as runs/digits-train-1 or runs/digits-study-1/search"
        )
    done = [step for step in steps if (study / step / "record.json").is_file()]
    asked, results = read_record(study / IDENTITY, Identity).steps, study / "results.json"
    if results.is_file():  # which know what was left out for lack of time
        record = read_record(results, StudyRecord)
        asked = (*record.steps, *record.coming)
    missing = [step for step in steps if step in asked and step not in done]
    if missing:
        raise WorkspaceError(
            f"a run must be finished for its models to be evaluated, but {study} has no "
            f"{missing[0]} yet; start its command again to go on with it"
        )
    found = []
    for step in done:
        own = read_record(study / step / "record.json", find_kind(step))
        if isinstance(own, ModelStep):
            found.append(Found(study, step, own))
            read_checked(found[-1].predictions, own.test.predictions)
    return found


def check_alike(found: Sequence[Found]) -> None:
    """Refuse models of different data, or of different splits of it."""
    first = found[0].study
    for other in {one.study for one in found[1:]}:
        ours, theirs = (read_record(one / "split.json", Manifest) for one in (first, other))
        if ours.fingerprint != theirs.fingerprint:
            raise DataError(
                "models are compared on the same images, but "
                f"{first} and {other} are of different data; compare runs of one dataset"
            )
        if ours != theirs:
            raise DataError(
                f"models are compared on one split, but {first} and {other} divide the images "
                "differently; run one again with the other's split"
            )


def name_models(found: Sequence[Found]) -> list[str]:
    """Return a name for each: its study's or its step's where that tells them apart, else both."""
    studies = [one.study.resolve().name for one in found]
    short = [one.step for one in found] if len(set(studies)) == 1 else studies
    both = [f"{study}/{one.step}" for study, one in zip(studies, found, strict=True)]
    whole = [f"{one.study}/{one.step}" for one in found]
    return next((names for names in (short, both) if len(set(names)) == len(names)), whole)


def find_tied(record: ComparisonRecord) -> list[str]:
    """Return the models that are not told from the one of the highest score."""
    best = max(record.runs, key=lambda run: run.score.value).name
    worse = {
        other
        for one in record.comparisons
        if one.p_value < ALPHA and best in (one.first, one.second)
        for other in (one.first, one.second)
        if other != best
    }
    return [run.name for run in record.runs if run.name not in worse]


def describe_comparison(record: ComparisonRecord) -> str:
    """Return what a person reads: a line a model, then a sentence a pair."""
    wide = max(len(run.name) for run in record.runs)
    lines = [
        f"{run.name:<{wide}}  {say_estimate(run.score)}  {run.model}"
        + ("  (optimistic)" if run.optimistic else "")
        for run in record.runs
    ]
    marked = [run.name for run in record.runs if run.optimistic]
    if marked:
        lines.append(
            f"Optimistic ({', '.join(marked)}): the best epoch was chosen on these same images, "
            "which favours it against runs that did not."
        )
    said = [
        one.sentence
        or f"{one.second} over {one.first}: {say_points(one.difference)}, corrected p "
        f"{say_p(one.p_value)}"
        for one in record.comparisons
    ]
    return "\n".join([*lines, "", *said])


def list_models(context: Context) -> dict[str, ModelStep]:
    """Return the steps so far that end in a model, in the order of the report."""
    found = {name: context.done[name] for name in SECTIONS if name in context.done}
    return {name: one for name, one in found.items() if isinstance(one, ModelStep)}


def compare_steps(context: Context) -> tuple[Comparison, ...]:
    """Return the paired tests between the steps' final models, all on the same test images.

    What a study asks beforehand is what a search adds to the baseline, and a backbone to both.
    """
    models = list_models(context)
    files = {name: context.folder / one.run.folder / PREDICTIONS for name, one in models.items()}
    correct, groups = read_correct(files)
    return compare_pairs(
        correct,
        {step: f"the model from {SECTIONS[step].title.lower()}" for step in files},
        say_comparison,
        pair_models(models) or None,
        groups,
    )


def find_shown(comparisons: Sequence[Comparison]) -> float | None:
    """Return the difference that comparisons in words would have shown, the largest of all."""
    named = [one for one in comparisons if one.named]
    return max(
        (
            find_detectable(
                (one.only_first + one.only_second) / one.effect,
                one.n / one.effect,
                ALPHA / len(named),
            )
            for one in named
        ),
        default=None,
    )


def pair_models(names: Collection[str]) -> list[tuple[str, str]]:
    """Return the steps whose models a study asks beforehand which is better."""
    return list(pairwise(name for name in ("baseline", "search", "transfer") if name in names))


def rank_models(context: Context) -> ModelRanking | None:
    """Return which final models are not told from the best on val, and the cheapest of them."""
    models = list_models(context)
    if len(models) < 2:
        return None
    costs = [weigh_model(one) for one in models.values()]
    ranking = context.rank(next(iter(models)), [[one.run] for one in models.values()], costs)
    names = list(models)
    group = [place for place, one in enumerate(ranking.candidates) if one.possible]
    return ModelRanking(
        best=names[ranking.best],
        group=tuple(names[place] for place in group),
        cheapest=names[min(group, key=lambda place: costs[place])],
        parameters=dict(zip(names, costs, strict=True)),
    )


def weigh_model(step: ModelStep) -> int:
    """Return the parameters that classify an image, those of a frozen backbone included."""
    if not isinstance(step, TransferStep) or step.run.model not in ("logistic", "dense"):
        return step.parameters
    own = [one for one in step.backbones if one.run.folder == step.run.folder]
    return step.parameters + max((one.parameters for one in own), default=0)
