"""The study: steps on one dataset, in one folder, resumable, within the minutes."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tellapart import __version__
from tellapart.audit import QUICK, Looked, describe_data, find_faults
from tellapart.cells.reporter import Reporter
from tellapart.data.dataset import Dataset
from tellapart.data.split import write_split
from tellapart.device import Meter, describe_environment, release_memory
from tellapart.errors import BudgetError, Interrupted, NotFinite, WorkspaceError
from tellapart.lock import lock_folder
from tellapart.metrics.comparisons import GUESS, find_detectable
from tellapart.records import (
    ALPHA,
    ModelStep,
    PlanRecord,
    RunRecord,
    StatusRecord,
    StepPlan,
    StepRecord,
    StudyRecord,
    SweepStep,
    find_kind,
)
from tellapart.report.page import write_report
from tellapart.report.plots import draw_run
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_margin, say_seconds
from tellapart.stop import check_stop
from tellapart.study.compare import compare_steps, find_shown, pair_models, rank_models
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, NoTime
from tellapart.study.settings import StudySettings
from tellapart.study.start import RECORD, identify_study, open_context, plan_common, prepare_study
from tellapart.study.steps import STEPS
from tellapart.workspace import STATUS, open_folder, read_record, write_json

GRACE = 0.03
"""The part of the minutes that a step has which is no extra, where those before it were late."""


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
    context, names = prepare_study(dataset, settings, folder, reporter, started)
    folder, manifest = context.folder, context.folder / "split.json"
    open_folder(folder, identify_study(dataset, settings))
    with lock_folder(folder):
        if not manifest.is_file():
            write_split(manifest, dataset, context.seal.split)
        write_json(folder / "environment.json", describe_environment())
        _write_status(context, "running")
        try:
            with open_context(context) as ready:
                record = _Study(ready, names, command).run()
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit | Interrupted)
            with suppress(WorkspaceError):  # of a full disk: the first error is the one to say
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
    context, names = prepare_study(dataset, settings, folder, reporter, started)
    common = plan_common(context)
    context = replace(context, workers=common.workers, precision=common.precision)
    plans: dict[str, StepPlan] = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            plans[name], _ = _fit_step(context, names, name)
        except NoTime as error:
            left_out[name] = str(error)
    n = context.seal.count
    shown = find_detectable(round(GUESS * n), n, ALPHA / max(1, len(pair_models(names))))
    return PlanRecord(**common.model_dump(), steps=plans, left_out=left_out, tested=n, shown=shown)


def describe_plan(plan: PlanRecord) -> str:
    """Return the plan as lines, one a step."""
    lines = []
    for name, step in plan.steps.items():
        took = f"; about {say_seconds(step.estimate)} of training" if step.estimate else ""
        given = f" within {say_seconds(step.given)}" if step.given and step.estimate else ""
        cut = f"; left out for lack of time: {', '.join(step.cut)}" if step.cut else ""
        lines.append(f"{name}: {step.text}{took}{given}{cut}")
    lines += [f"{name}: left out: {reason}" for name, reason in plan.left_out.items()]
    if plan.shown < 1:
        lines.append(
            f"test: {plan.tested:,} images can show that one model is better than another by about "
            f"{say_margin(plan.shown)} or more"
        )
    end = "no limit of time" if plan.minutes is None else f"ends after {plan.minutes:g} min"
    return "\n".join([*lines, f"{end} (--minutes M changes that)"])


def _share(context: Context, names: list[str], name: str) -> Deadline:
    """Return the deadline of a step: its share of the time that is left for it and those after.

    However late those before it were, one that is no extra has ``GRACE`` of the minutes.
    """
    later = [STEPS[other].weight for other in names[names.index(name) :]]
    least = 0.0 if STEPS[name].optional else GRACE * 60 * (context.minutes or 0.0)
    return context.deadline.take(later[0] / sum(later) if sum(later) else 1.0, least)


def _fit_step(context: Context, names: list[str], name: str) -> tuple[StepPlan, Deadline]:
    """Return the plan of a step within its share of the time, and when it has to end.

    One that is no extra has up to half of all that is left, where its share is too short.
    """
    deadline = _share(context, names, name)
    try:
        return _plan_step(context, name, deadline), deadline
    except NoTime:
        if STEPS[name].optional:
            raise
    deadline = context.deadline.take(0.5)
    return _plan_step(context, name, deadline), deadline


def _plan_step(context: Context, name: str, deadline: Deadline) -> StepPlan:
    given = deadline.given
    try:
        plan = STEPS[name].plan(context, deadline.left())
    except NoTime:  # measured while the machine had other work, perhaps: once more
        context.paces.clear()
        plan = STEPS[name].plan(context, deadline.left())
    return plan.model_copy(update={"given": given})


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
        if "inspect" not in self.names:
            self._warn()
        for name in self.names:
            if not STEPS[name].applies(self.context):
                continue
            try:
                self._do_step(name)
            except (NoTime, NotFinite) as error:
                if isinstance(error, NoTime):
                    short.append(error)
                elif not STEPS[name].optional or name in self.context.settings.steps:
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

        def fit() -> StepPlan:
            nonlocal deadline
            found, deadline = _fit_step(context, self.names, name)
            return found

        context.found.clear()
        context.reporter.begin(name, 1)
        with Meter() as meter:
            plan = context.decide(name, "plan", step.plan_kind, fit)
            given = deadline.given if step.weight else None
            if plan.text and plan.cut:
                context.reporter.say(f"{plan.text}; for lack of time: {', '.join(plan.cut)}")
            record = step.run(context, plan, deadline)
            self._draw(record)
        runs = _list_runs(record)
        # what an earlier start trained took its time too; what another step did is in its own
        found = [run for run in context.found if run.folder.startswith(f"{name}/")]
        seconds = meter.seconds + sum(run.seconds for run in found)
        memory = max(meter.peak_memory_mb, *(run.peak_memory_mb for run in runs), 0.0)
        answer = SECTIONS[name].answer(record, context.dataset.classes)
        filled = {"given": given, "seconds": seconds, "peak_memory_mb": memory}
        record = record.model_copy(update=filled | {"cut": plan.cut, "answer": answer})
        write_json(path, record)
        release_memory()
        context.done[name] = record
        context.reporter.end(record, again=False)

    def _draw(self, record: StepRecord) -> None:
        """Draw the figures of a step, and the curves of its trainings that have none yet."""
        context = self.context
        for run in _list_runs(record):
            folder = context.folder / run.folder
            if not (folder / "results.png").is_file():
                draw_run(run, None, context.dataset.classes, folder)
        SECTIONS[record.step].draw(record, context.folder / record.step)

    def _warn(self) -> None:
        """Say what is gravely wrong with the data, where no step inspects them."""
        looked = Looked(self.context.dataset, self.context.seal.split)
        for one in find_faults(looked, QUICK):
            if one.severity == "grave":
                self.context.reporter.say(f"{one.title}: {one.sentence} {one.advice}")

    def _write(self) -> StudyRecord:
        """Write the results and the report of the steps so far."""
        context, done = self.context, self.context.done
        comparisons = compare_steps(context)
        record = StudyRecord(
            version=__version__,
            command=self.command,
            data=describe_data(context.dataset, context.seal.split),
            protocol=context.settings.protocol,
            split_seed=context.settings.split_seed,
            metric=context.metric,
            environment=describe_environment(),
            minutes=context.minutes,
            precision=context.precision,
            seconds=sum(step.seconds for step in done.values()),
            peak_memory_mb=max((step.peak_memory_mb for step in done.values()), default=0.0),
            steps=done,
            left_out=self.left_out,
            coming=tuple(name for name in self.names if name not in {*done, *self.left_out}),
            comparisons=comparisons,
            detectable=find_shown(comparisons),
            models=rank_models(context),
            ledger=context.seal.read_ledger(),
        )
        write_json(context.folder / "results.json", record)
        write_report(context.folder)
        return record


def _list_runs(record: StepRecord) -> tuple[RunRecord, ...]:
    runs = record.runs if isinstance(record, SweepStep) else ()
    return (*runs, record.run) if isinstance(record, ModelStep) else runs


def _write_status(context: Context, status: str, note: str = "") -> None:
    found = StatusRecord(
        status=status,
        note=note,
        process=os.getpid(),
        folder=context.dataset.folder,
        read=context.dataset.read.model_dump(mode="json", exclude_defaults=True),
    )
    write_json(context.folder / STATUS, found.model_dump(exclude_defaults=True))
