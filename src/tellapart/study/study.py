"""The study: steps on one dataset, in one folder, resumable, within the minutes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tellapart import __version__
from tellapart.audit import describe_data
from tellapart.cells import list_gpus, measure_room, open_executor
from tellapart.cells.cell import PIXELS, weigh_training
from tellapart.cells.reporter import Reporter, SilentReporter
from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split, read_split, write_split
from tellapart.device import (
    Meter,
    choose_device,
    choose_precision,
    count_threads,
    describe_environment,
    release_memory,
)
from tellapart.errors import (
    BudgetError,
    Interrupted,
    NotFinite,
    SettingError,
    TellapartError,
    UserError,
    WorkspaceError,
)
from tellapart.evaluate import PREDICTIONS, Seal, read_correct
from tellapart.lock import lock_folder
from tellapart.metrics.comparisons import compare_pairs
from tellapart.models import SimpleSettings
from tellapart.models.weights import hash_weights
from tellapart.records import (
    Comparison,
    ModelStep,
    PlanRecord,
    RunRecord,
    StatusRecord,
    StepPlan,
    StepRecord,
    StudyPlan,
    StudyRecord,
    SweepStep,
    find_kind,
)
from tellapart.report.page import write_report
from tellapart.report.plots import draw_run
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_comparison, say_seconds
from tellapart.stop import check_stop
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, NoTime
from tellapart.study.rules import find_rules, plan_minutes
from tellapart.study.settings import StudySettings
from tellapart.study.steps import STEPS
from tellapart.study.steps.step import Step
from tellapart.workspace import (
    STATUS,
    check_folder,
    expand_path,
    open_folder,
    read_record,
    write_json,
)

PLAN, RECORD = "plan.json", "record.json"
LEAST = 2.0
"""Seconds that a step which trains takes at the least: to measure, test, and draw."""


def run_study(
    dataset: Dataset,
    settings: StudySettings,
    folder: str | Path,
    reporter: Reporter | None = None,
    command: str = "",
    started: float | None = None,
) -> StudyRecord:
    """Run the steps that are not yet done; after each, write ``results.json`` and ``report.html``.

    A folder that holds a part of the same study is gone on with: finished steps and cells are
    read, not done again.

    Args:
        command: what reproduces the study, for the report.
        started: when its minutes began, on the clock of ``time.monotonic``; now unless told.

    Raises:
        UserError: something asked for is not there, or another process works in the folder;
            said before any training starts.
        BudgetError: the minutes suffice for no step that trains.
        Interrupted: a stop was asked for; the same call goes on from there.
        TellapartError: the work itself failed.
    """
    context, names = _prepare(dataset, settings, folder, reporter, started)
    folder, manifest = context.folder, context.folder / "split.json"
    open_folder(folder, identify_study(dataset, settings))
    with lock_folder(folder):
        if not manifest.is_file():
            write_split(manifest, dataset, context.seal.split)
        write_json(folder / "environment.json", describe_environment())
        _write_status(context, "running")
        try:
            with _open_context(context) as ready:
                record = _Study(ready, names, command).run()
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit | Interrupted)
            with suppress(
                WorkspaceError
            ):  # a full disk, perhaps: the first error is the one to say
                _write_status(context, "stopped" if stopped else "failed", str(error))
            raise
        _write_status(context, "done")
    return record


def plan_study(
    dataset: Dataset,
    settings: StudySettings,
    folder: str | Path,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> PlanRecord:
    """Return what a study would do in ``folder``, as far as it is known before, and write nothing.

    Each step is planned for its share of the time; what one leaves, later ones have too.

    Raises:
        UserError: something asked for is not there.
    """
    context, names = _prepare(dataset, settings, folder, reporter, started)
    common = _plan_common(context)
    context = replace(context, workers=common.workers, precision=common.precision)
    plans: dict[str, StepPlan] = {}
    left_out: dict[str, str] = {}
    for name in names:
        seconds = _share(context, names, name).left()
        try:
            plan = STEPS[name].plan(context, seconds)
        except NoTime as error:
            left_out[name] = str(error)
        else:
            given = None if seconds == float("inf") else seconds
            plans[name] = plan.model_copy(update={"given": given})
    return PlanRecord(**common.model_dump(), steps=plans, left_out=left_out)


def describe_plan(plan: PlanRecord) -> str:
    """Return the plan as lines, one a step."""
    lines = []
    for name, step in plan.steps.items():
        took = f"; about {say_seconds(step.estimate)} of training" if step.estimate else ""
        given = f" within {say_seconds(step.given)}" if step.given and step.estimate else ""
        cut = f"; left out for lack of time: {', '.join(step.cut)}" if step.cut else ""
        lines.append(f"{name}: {step.text}{took}{given}{cut}")
    lines += [f"{name}: left out: {reason}" for name, reason in plan.left_out.items()]
    end = "no limit of time" if plan.minutes is None else f"ends after {plan.minutes:g} min"
    return "\n".join([*lines, f"{end} (--minutes M changes that)"])


def identify_study(dataset: Dataset, settings: StudySettings) -> dict[str, Any]:
    """Return what must be equal for a folder to be gone on with.

    A folder of weights is what it holds, wherever it lies and whatever it is called.

    Raises:
        BackboneError: such a folder cannot be read.
    """
    chosen = settings.model_dump(
        mode="json", exclude={"device", "transfer", "executor", "processes", "steps"}
    )
    backbones = [
        f"a folder with weights {hash_weights(name)}" if name.startswith("local-dir:") else name
        for name in settings.transfer.backbones
    ]
    return {
        "made by": f"tellapart {__version__}",
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "steps": list(name_steps(settings)),
        **chosen,
        **settings.transfer.model_dump(mode="json", exclude={"backbones", "max_memory"}),
        "backbones": backbones,
    }


def name_steps(settings: StudySettings) -> tuple[str, ...]:
    """Return the steps that a study has: those named, or the usual ones of its protocol."""
    if settings.steps:
        return settings.check_steps(STEPS)
    val = find_rules(settings).val
    return tuple(name for name, step in STEPS.items() if step.usual and (val or not step.optional))


def _prepare(
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
    choose_device(settings.device)
    if settings.minutes is not None and find_rules(settings).minutes is None:
        raise SettingError(
            f"--protocol {settings.protocol} trains as long as the reference study did, but got "
            f"--minutes {settings.minutes:g}; use --epochs, or the holdout protocol"
        )
    folder = expand_path(folder)
    manifest = folder / "split.json"
    split = read_split(manifest, dataset) if manifest.is_file() else make_split(dataset)
    minutes = plan_minutes(settings, len(split.train))
    begun = time.monotonic() if started is None else started
    context = Context(
        settings=settings,
        dataset=dataset,
        seal=Seal(dataset, split, folder),
        folder=folder,
        reporter=reporter or SilentReporter(),
        device=settings.device,
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
    """Refuse minutes in which nothing could be trained.

    Raises:
        BudgetError: with the number that would do.
    """
    asked = context.settings.minutes
    trained = [name for name in names if STEPS[name].weight]
    if asked is not None and trained and context.deadline.left() < LEAST:
        spent = 60 * asked - context.deadline.left() if context.deadline.left() else 60 * asked
        needed = (spent + LEAST * len(trained)) / 60
        raise BudgetError(
            f"--minutes must be at least {needed:.1g} for {len(trained)} "
            f"step{'s' if len(trained) > 1 else ''} that train on this machine, but got {asked:g}; "
            "allow more, or fewer --steps"
        )


def _plan_common(context: Context) -> StudyPlan:
    """Return what all trainings have in common: their number format, and the workers there are.

    Unless told, there are as many workers as threads, with one each and as many as fit in the
    memory, or as GPUs; a preset in float32 and other devices have one.
    """
    settings, rules = context.settings, find_rules(context.settings)
    device = choose_device(settings.device)
    workers = 1
    if settings.processes != "auto":
        workers = int(settings.processes)
    elif settings.executor == "inline" or rules.float32:
        workers = 1
    elif device.type == "cuda":
        workers = len(list_gpus())
    elif device.type == "cpu":
        fit = int(measure_room() / weigh_training(SimpleSettings(width=1, dense=1), context.shape))
        workers = max(1, min(count_threads(), fit))
    precision = "float32" if rules.float32 else choose_precision(device)
    return StudyPlan(minutes=context.minutes, precision=precision, workers=workers)


@contextmanager
def _open_context(context: Context) -> Iterator[Context]:
    """Give a context with what all trainings have in common, decided once, and its executor."""
    common = context.decide("", "plan", StudyPlan, lambda: _plan_common(context))
    context = replace(context, precision=common.precision, workers=common.workers)
    pixels = context.folder / PIXELS
    pixels.unlink(missing_ok=True)  # of a start that was killed
    name = context.settings.executor
    if name == "auto":
        name = "local" if common.workers > 1 else "inline"
    try:
        with open_executor(name, common.workers, context.device) as executor:
            workers = executor.workers if executor.remote else 1
            yield replace(context, executor=executor, workers=workers)
    finally:
        pixels.unlink(missing_ok=True)


def _share(context: Context, names: list[str], name: str) -> Deadline:
    """Return the deadline of a step: its share of the time that is left for it and those after."""
    later = [STEPS[other].weight for other in names[names.index(name) :]]
    return context.deadline.take(later[0] / sum(later) if sum(later) else 1.0)


@dataclass
class _Study:
    """Runs steps one after another, and writes down what they come to."""

    context: Context
    names: list[str]
    command: str

    def run(self) -> StudyRecord:
        self.left_out: dict[str, str] = {}
        short: list[NoTime] = []
        record = None
        for name in self.names:
            try:
                self._do_step(name)
            except NoTime as error:
                short.append(error)
                self.left_out[name] = str(error)
                self.context.reporter.say(f"left out: {error}")
            except NotFinite as error:
                if not STEPS[name].optional or name in self.context.settings.steps:
                    raise
                self.left_out[name] = str(error)
                self.context.reporter.say(f"left out: {error}")
            record = self._write()
        assert record is not None, "a study has steps"
        trained = [name for name in record.steps if STEPS[name].weight]
        if short and not trained:
            spent = 60 * (self.context.minutes or 0.0) - self.context.deadline.left()
            needed = (spent + min(error.needed for error in short)) / 60
            raise BudgetError(
                f"--minutes must be at least about {1.1 * needed:.2g} to train anything here, but "
                f"got {self.context.minutes:g}; allow more"
            )
        return record

    def _do_step(self, name: str) -> None:
        """Do one step, or read it where it is done."""
        context, step = self.context, STEPS[name]
        path = context.folder / name / RECORD
        if path.is_file():
            record = read_record(path, find_kind(name))
            context.done[name] = record
            context.reporter.end(record, again=True)
            return
        check_stop()
        deadline = _share(context, self.names, name)
        given = None if deadline.end == float("inf") else deadline.left()
        context.found.clear()
        context.reporter.begin(name, 1)
        with Meter() as meter:
            plan = self._plan(step, name, deadline)
            if plan.text and plan.cut:
                context.reporter.say(f"{plan.text}; for lack of time: {', '.join(plan.cut)}")
            record = step.run(context, plan, deadline)
            self._draw(record)
        runs = _list_runs(record)
        record = record.model_copy(
            update={
                "given": given,
                # what an earlier start trained took its time too
                "seconds": meter.seconds + sum(run.seconds for run in context.found),
                "peak_memory_mb": max(
                    meter.peak_memory_mb, *(run.peak_memory_mb for run in runs), 0.0
                ),
                "cut": plan.cut,
                "answer": SECTIONS[name].answer(record, context.done, context.dataset.classes),
            }
        )
        write_json(path, record)
        release_memory()
        context.done[name] = record
        context.reporter.end(record, again=False)

    def _plan(self, step: Step, name: str, deadline: Deadline) -> StepPlan:
        return self.context.decide(
            name, "plan", step.plan_kind, lambda: step.plan(self.context, deadline.left())
        )

    def _draw(self, record: StepRecord) -> None:
        """Draw the figures of a step, and the curves of its trainings that have none yet."""
        context = self.context
        for run in _list_runs(record):
            folder = context.folder / run.folder
            if not (folder / "results.png").is_file():
                draw_run(run, None, context.dataset.classes, folder)
        SECTIONS[record.step].draw(record, context.folder / record.step)

    def _write(self) -> StudyRecord:
        """Write the results and the report of the steps so far."""
        context = self.context
        done = context.done
        record = StudyRecord(
            version=__version__,
            command=self.command,
            data=describe_data(context.dataset, context.seal.split),
            protocol=context.settings.protocol,
            metric=context.metric,
            environment=describe_environment(),
            minutes=context.minutes,
            precision=context.precision,
            seconds=sum(step.seconds for step in done.values()),
            peak_memory_mb=max((step.peak_memory_mb for step in done.values()), default=0.0),
            steps=done,
            left_out=self.left_out,
            coming=tuple(
                name for name in self.names if name not in done and name not in self.left_out
            ),
            comparisons=compare_steps(context),
            ledger=context.seal.read_ledger(),
        )
        write_json(context.folder / "results.json", record)
        write_report(context.folder)
        return record


def _list_runs(record: StepRecord) -> tuple[RunRecord, ...]:
    runs = record.runs if isinstance(record, SweepStep) else ()
    return (*runs, record.run) if isinstance(record, ModelStep) else runs


def compare_steps(context: Context) -> tuple[Comparison, ...]:
    """Return the paired tests between the steps' final models, all on the same test images."""
    files = {
        step: context.folder / record.run.folder / PREDICTIONS
        for step, record in context.done.items()
        if isinstance(record, ModelStep)
    }
    return compare_pairs(
        read_correct(files),
        {step: f"the model from {SECTIONS[step].title.lower()}" for step in files},
        say_comparison,
    )


def _write_status(context: Context, status: str, note: str = "") -> None:
    found = StatusRecord(
        status=status, note=note, process=os.getpid(), folder=context.dataset.folder
    )
    write_json(context.folder / STATUS, found.model_dump(exclude_defaults=True))


__all__ = [
    "StudySettings",
    "TellapartError",
    "describe_plan",
    "identify_study",
    "plan_study",
    "run_study",
]
