"""The study: six steps on one dataset, in one folder, resumable."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tellapart import __version__
from tellapart.audit import describe_data
from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split, read_split, write_split
from tellapart.device import Meter, choose_device, describe_environment, release_memory
from tellapart.errors import (
    BudgetError,
    Interrupted,
    NotFinite,
    SettingError,
    WorkspaceError,
)
from tellapart.evaluate import PREDICTIONS, Seal, read_correct
from tellapart.metrics.comparisons import compare_pairs
from tellapart.models.weights import hash_weights
from tellapart.owner import own_folder
from tellapart.plan import StudySettings
from tellapart.plan.vary import list_levels, make_level
from tellapart.records import (
    AnyStep,
    Comparison,
    LearningRecord,
    ModelStep,
    PlanRecord,
    StatusRecord,
    StepName,
    StudyRecord,
    SweepStep,
)
from tellapart.report.page import write_report
from tellapart.report.wording import say_comparison
from tellapart.search.sweep import check_sizes
from tellapart.stop import check_stop
from tellapart.study.bench import PLAN, Bench
from tellapart.study.candidates import check_backbones, make_work
from tellapart.study.cells import open_processes
from tellapart.study.folds import check_folds
from tellapart.study.grid import run_vary
from tellapart.study.learn import run_learn
from tellapart.study.plans import say_plan
from tellapart.study.reporter import Reporter, SilentReporter
from tellapart.study.steps import KIND, RUN_STEP
from tellapart.workspace import (
    STATUS,
    check_folder,
    expand_path,
    open_folder,
    read_record,
    write_json,
)

NAMES: dict[StepName, str] = {
    "baseline": "the simple network",
    "conv": "the network of the convolution sweep",
    "dense": "the network of the dense sweep",
    "search": "the best network from scratch",
    "transfer": "the pretrained backbone",
}


def run_study(
    dataset: Dataset,
    settings: StudySettings,
    folder: str | Path,
    reporter: Reporter | None = None,
    command: str = "",
) -> StudyRecord:
    """Run the steps that are not yet done, and write ``results.json`` and ``report.html``.

    A folder that holds a part of the same study is gone on with: finished steps and cells are
    read, not done again.

    Args:
        command: what reproduces the study, for the report.

    Raises:
        UserError: something asked for is not there, or another process works in the folder;
            said before any training starts.
        Interrupted: a stop was asked for; the same call goes on from there.
        TellapartError: the work itself failed.
    """
    for given, kind in ((dataset, Dataset), (settings, StudySettings)):
        if not isinstance(given, kind):
            raise SettingError(
                "run_study takes a Dataset, as load_images returns it, StudySettings and a folder, "
                f"but got {given!r:.60}"
            )
    folder = expand_path(folder)
    manifest = folder / "split.json"
    split = read_split(manifest, dataset) if manifest.is_file() else make_split(dataset)
    bench = Bench(
        settings, dataset, split, Seal(dataset, split, folder), folder, reporter or SilentReporter()
    )
    check_settings(bench)
    identity = identify_study(dataset, settings)
    check_folder(folder, identity)
    check_budget(bench)
    open_folder(folder, identity)
    with own_folder(folder):
        if not manifest.is_file():
            write_split(manifest, dataset, split)
        write_json(folder / PLAN, bench.plan)
        if bench.plan.cut:
            bench.reporter.say(say_plan(bench.plan))
        write_json(folder / "environment.json", describe_environment())
        _write_status(bench, "running")
        try:
            with open_processes(bench) as ready:
                record = _run_steps(ready, command)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit | Interrupted)
            with suppress(
                WorkspaceError
            ):  # a full disk, perhaps: the first error is the one to say
                _write_status(bench, "stopped" if stopped else "failed", str(error))
            raise
        _write_status(bench, "done")
    return record


def _run_steps(bench: Bench, command: str) -> StudyRecord:
    """Run every step that is asked for, and write what they come to."""
    settings, folder = bench.settings, bench.folder
    done = {step: run_step(bench, step) for step in settings.steps}
    learning = ask_learning(bench, done) if settings.learns else None
    grid = run_vary(bench) if settings.sweep.vary else None
    parts = [*done.values(), *(part for part in (learning, grid) if part is not None)]
    record = StudyRecord(
        version=__version__,
        command=command,
        data=describe_data(bench.dataset, bench.split),
        protocol=settings.protocol,
        environment=describe_environment(),
        plan=bench.plan,
        seconds=sum(part.seconds for part in parts),
        peak_memory_mb=max(part.peak_memory_mb for part in parts),
        steps=done,
        comparisons=compare_steps(bench, done),
        learning=learning,
        grid=grid,
        ledger=bench.seal.read_ledger(),
    )
    write_json(folder / "results.json", record)
    write_report(folder)
    return record


def ask_learning(bench: Bench, done: dict[StepName, AnyStep]) -> LearningRecord | None:
    """Ask whether more data would help; a failure does not cost a study its report."""
    try:
        return run_learn(bench, done)
    except NotFinite as error:
        if not done:
            raise
        bench.reporter.say(f"would more data help? Not told: {error}")
        return None


def foresee_study(
    dataset: Dataset, settings: StudySettings, folder: Path, reporter: Reporter | None = None
) -> PlanRecord:
    """Return what a study would do in ``folder``, and write nothing.

    Raises:
        UserError: something asked for is not there.
    """
    check_folder(folder, identify_study(dataset, settings))
    manifest = folder / "split.json"
    split = read_split(manifest, dataset) if manifest.is_file() else make_split(dataset)
    seal = Seal(dataset, split, folder)
    bench = Bench(settings, dataset, split, seal, folder, reporter or SilentReporter())
    check_settings(bench)
    return bench.plan


def identify_study(dataset: Dataset, settings: StudySettings) -> dict[str, object]:
    """Return what must be equal for a folder to be gone on with.

    A folder of weights is what it holds, wherever it lies and whatever it is called.

    Raises:
        BackboneError: such a folder cannot be read.
    """
    chosen = settings.model_dump(mode="json", exclude={"device", "transfer", "sweep"})
    backbones = [
        f"a folder with weights {hash_weights(name)}" if name.startswith("local-dir:") else name
        for name in settings.transfer.backbones
    ]
    return {
        "made by": f"tellapart {__version__}",
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        **chosen,
        **settings.sweep.model_dump(mode="json", exclude={"processes"}),
        **settings.transfer.model_dump(mode="json", exclude={"backbones", "max_memory"}),
        "backbones": backbones,
    }


def check_settings(bench: Bench) -> None:
    """Find out now what would otherwise stop the study after an hour.

    Raises:
        UserError: a device, size or backbone that cannot be had.
    """
    settings = bench.settings
    choose_device(settings.device)
    if settings.protocol == "notebook" and settings.minutes is not None:
        raise SettingError(
            f"--protocol notebook trains as long as the reference study did, but got --minutes "
            f"{settings.minutes:g}; use --epochs, or the holdout protocol"
        )
    if settings.learn and settings.protocol == "notebook":
        raise SettingError(
            "learn chooses epochs on val, which --protocol notebook does not have; leave it out"
        )
    for sizes in settings.sweep.sizes.values():
        check_sizes(sizes)
    if settings.transfer.head_sizes:
        check_sizes(settings.transfer.head_sizes)
    for level in list_levels(settings.sweep.vary) if settings.sweep.vary else ():
        make_level(settings, bench.images, level, settings.seed, 1)
    if settings.sweep.vary and settings.protocol == "notebook":
        raise SettingError(
            "settings vary on val, which --protocol notebook does not have; leave it out"
        )
    if "transfer" in settings.steps and not (bench.folder / "transfer/record.json").is_file():
        check_folds(make_work(bench))
        check_backbones(bench)


def check_budget(bench: Bench) -> None:
    """Find out now what would take far longer than the minutes that the user named.

    Raises:
        BudgetError: the shortest plan takes over twice as long.
    """
    asked, needed = bench.settings.minutes, bench.plan.seconds / 60
    if asked is not None and bench.settings.epochs is None and needed > 2 * asked:
        raise BudgetError(
            f"--minutes must be at least half of what the shortest plan takes on this machine, "
            f"{needed:.2g} min, but got {asked:g}; allow more, or fewer --steps"
        )


def run_step(bench: Bench, step: StepName) -> AnyStep:
    """Run one step, or read it where it is done."""
    path = bench.folder / step / "record.json"
    if path.is_file():
        found = read_record(path, KIND[step])
        bench.reporter.end(found, step, again=True)
        return found
    check_stop()
    before = bench.clock.read(step)
    with Meter() as meter:
        record = RUN_STEP[step](bench)
    # a training that was gone on with took longer than what this start has seen of it
    seconds = max(meter.seconds, bench.clock.read(step) - before)
    runs = record.runs if isinstance(record, SweepStep) else ()
    runs = (*runs, record.run) if isinstance(record, ModelStep) else runs
    peak = max(meter.peak_memory_mb, *(run.peak_memory_mb for run in runs), 0.0)
    measured = {"seconds": before + seconds, "peak_memory_mb": peak}
    record = record.model_copy(update=measured)
    write_json(path, record)
    release_memory()
    bench.reporter.end(record, step, again=False)
    return record


def compare_steps(bench: Bench, done: dict[StepName, AnyStep]) -> tuple[Comparison, ...]:
    """Return the paired tests between the steps' final models, all on the same test images."""
    files: dict[str, Path] = {
        step: bench.folder / record.run.folder / PREDICTIONS
        for step, record in done.items()
        if isinstance(record, ModelStep)
    }
    return compare_pairs(read_correct(files), {step: NAMES[step] for step in NAMES}, say_comparison)


def _write_status(bench: Bench, status: str, note: str = "") -> None:
    found = StatusRecord(status=status, note=note, process=os.getpid(), folder=bench.dataset.folder)
    write_json(bench.folder / STATUS, found.model_dump(exclude_defaults=True))
