"""What comes before the first step of a study: checks, its name, and common decisions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tellapart import __version__
from tellapart.cells import EXECUTORS, list_gpus, measure_room
from tellapart.cells.cell import PIXELS, weigh_training
from tellapart.cells.reporter import Reporter
from tellapart.config import SplitSettings
from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split, read_split
from tellapart.device import choose_device, choose_precision, count_threads
from tellapart.errors import BudgetError, SettingError, UserError, suggest_name
from tellapart.evaluate import Seal
from tellapart.models import SimpleSettings
from tellapart.models.weights import hash_weights
from tellapart.records import ModelStep, StudyPlan, find_kind
from tellapart.report.wording import say_count
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline
from tellapart.study.rules import find_rules, plan_minutes
from tellapart.study.settings import StudySettings
from tellapart.study.steps import STEPS
from tellapart.workspace import check_folder, expand_path

RECORD = "record.json"
FORM = 2
"""Of records: a study of another one is that of another version."""
LEAST = 2.0
"""Seconds that a step which trains takes at the least: to measure, test, and draw."""


def identify_study(dataset: Dataset, settings: StudySettings) -> dict[str, Any]:
    """Return what must be equal for a folder to be gone on with.

    A folder of weights is what it holds, wherever it lies and whatever it is called.
    """
    chosen = settings.model_dump(mode="json", exclude={"compute", "transfer", "steps"})
    backbones = [
        f"a folder with weights {hash_weights(name)}" if name.startswith("local-dir:") else name
        for name in settings.transfer.backbones
    ]
    return {
        "made by": f"tellapart {__version__}",
        "form": FORM,
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "steps": list(name_steps(settings)),
        **chosen,
        **settings.transfer.model_dump(mode="json", exclude={"backbones", "max_memory"}),
        "backbones": backbones,
    }


def name_steps(settings: StudySettings) -> tuple[str, ...]:
    """Return the steps that a study has: those named, or the usual ones of its protocol.

    Where one of them ends in a model, the best is handed over.
    """
    for name in settings.steps:
        if name not in STEPS:
            raise SettingError(
                f"--steps must name steps of {', '.join(STEPS)}, but got {name!r}"
                f"{suggest_name(name, STEPS)}"
            )
    if settings.steps:
        tested = any(issubclass(find_kind(name), ModelStep) for name in settings.steps)
        own = {*settings.steps, "model"} if tested else {*settings.steps}
        return tuple(name for name in STEPS if name in own)
    val = find_rules(settings).val
    return tuple(name for name, step in STEPS.items() if step.usual and (val or not step.optional))


def prepare_study(
    dataset: Dataset,
    settings: StudySettings,
    folder: str | Path,
    reporter: Reporter | None,
    started: float | None,
) -> tuple[Context, list[str]]:
    """Return the context of a study and its steps, after finding out what would stop it later."""
    for given, kind in ((dataset, Dataset), (settings, StudySettings)):
        if not isinstance(given, kind):
            raise SettingError(
                "a study takes a Dataset, as load_images returns it, StudySettings and a folder, "
                f"but got {given!r:.60}"
            )
    choose_device(settings.compute.device)
    if settings.minutes is not None and find_rules(settings).minutes is None:
        raise SettingError(
            f"--protocol {settings.protocol} trains as long as the reference study did, but got "
            f"--minutes {settings.minutes:g}; use --epochs, or the holdout protocol"
        )
    folder = expand_path(folder)
    manifest = folder / "split.json"
    if manifest.is_file():
        split = read_split(manifest, dataset)
    else:
        split = make_split(dataset, SplitSettings(split=settings.split, seed=settings.split_seed))
    minutes = plan_minutes(settings, len(split.train))
    begun = time.monotonic() if started is None else started
    context = Context(
        settings=settings,
        dataset=dataset,
        seal=Seal(dataset, split, folder),
        folder=folder,
        reporter=reporter or Reporter(),
        device=settings.compute.device,
        protocol=settings.protocol,
        metric=settings.metric,
        minutes=minutes,
        deadline=Deadline() if minutes is None else Deadline(begun + 60 * minutes),
    )
    check_folder(folder, identify_study(dataset, settings))
    names = []
    for name in name_steps(settings):
        try:
            if not (folder / name / RECORD).is_file():
                STEPS[name].check(context)
        except UserError:
            if name in settings.steps or not STEPS[name].optional:
                raise
            continue
        names.append(name)
    _check_minutes(context, names)
    return context, names


def _check_minutes(context: Context, names: list[str]) -> None:
    """Refuse minutes in which nothing could be trained, with the number that would do."""
    asked = context.settings.minutes
    trained = [name for name in names if STEPS[name].weight]
    if asked is not None and trained and context.deadline.left() < LEAST:
        needed = asked + (LEAST * len(trained) - context.deadline.left()) / 60
        raise BudgetError(
            f"--minutes must be at least {needed:.1g} for {say_count(len(trained), 'step')} on "
            f"this machine, but got {asked:g}; allow more, or fewer --steps"
        )


def plan_common(context: Context) -> StudyPlan:
    """Return what all trainings have in common: their number format, and the workers there are.

    Unless told, there are as many workers as threads, with one each and as many as fit in the
    memory, or as GPUs; a preset in float32 and other devices have one.
    """
    settings, rules = context.settings, find_rules(context.settings)
    device = choose_device(settings.compute.device)
    workers = 1
    if settings.compute.processes != "auto":
        workers = int(settings.compute.processes)
    elif settings.compute.executor == "inline" or rules.float32:
        workers = 1
    elif device.type == "cuda":
        workers = len(list_gpus())
    elif device.type == "cpu":
        fit = int(measure_room() / weigh_training(SimpleSettings(width=1, dense=1), context.shape))
        workers = max(1, min(count_threads(), fit))
    precision = "float32" if rules.float32 else choose_precision(device)
    return StudyPlan(minutes=context.minutes, precision=precision, workers=workers)


@contextmanager
def open_context(context: Context) -> Iterator[Context]:
    """Give a context with what all trainings have in common, decided once, and its executor."""
    common = context.decide("", "plan", StudyPlan, lambda: plan_common(context))
    context = replace(context, precision=common.precision, workers=common.workers)
    pixels = context.folder / PIXELS
    pixels.unlink(missing_ok=True)  # of a start that was killed
    name = context.settings.compute.executor
    if name == "auto":
        name = "local" if common.workers > 1 else "inline"
    try:
        with EXECUTORS[name](common.workers, context.device) as executor:
            workers = executor.workers if executor.remote else 1
            yield replace(context, executor=executor, workers=workers)
    finally:
        pixels.unlink(missing_ok=True)
