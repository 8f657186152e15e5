"""The commands that train: flags to settings, settings to a study, and where its report is."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from tellapart import __version__
from tellapart.cli import flags
from tellapart.config import RecipeSettings, SplitName
from tellapart.console import ConsoleReporter, escape, print_json, print_text
from tellapart.data.listing import show_name
from tellapart.device import choose_device
from tellapart.errors import DataError, SettingError, suggest_name
from tellapart.records import FINDINGS, InspectStep, LabelsStep, StudyRecord
from tellapart.report.sections import SECTIONS
from tellapart.study.settings import (
    RunSettings,
    SearchSettings,
    StudySettings,
    SweepSettings,
    TransferSettings,
    read_list,
)
from tellapart.workspace import expand_path, name_folder

STEPS = f"Some of {', '.join(SECTIONS)}, separated by commas [default: all but vary]."
VARIED = (
    "width or dense, whose sizes follow from the data; or SETTING=VALUE,VALUE, up to two times, of "
    "any setting of the network or its training."
)


def _show_default(value: object) -> str | None:
    """Return what help says of a default; what is off or empty says it itself."""
    if value is None or value is False or value in ((), ""):
        return None
    return ", ".join(value) if isinstance(value, tuple) else str(value)


app = App(
    name="tellapart",
    help="How well can your images be told apart?",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=(), show_default=_show_default),
)


@app.command
def study(
    data: flags.Data,
    *,
    steps: Annotated[str | None, Parameter(help=STEPS)] = None,
    network: flags.Network = flags.SizedFlags(),
    recipe: flags.Recipe = RecipeSettings(),
    sweep: flags.Sweep = SweepSettings(),
    search: flags.Search = SearchSettings(),
    transfer: flags.Transfer = TransferSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Run all steps and write one report. Started again, it goes on where it stopped.

    Example: `tellapart study photos/ --backbone local-dir:weights/mobilenetv2_100`
    """
    named = () if steps is None else tuple(read_list(steps))
    if steps is not None and not named:
        raise SettingError(f"--steps must name at least one step, but got {steps!r}; leave it out")
    settings = StudySettings(
        **dict(run),
        steps=named,
        model=network.make(),
        recipe=recipe,
        sweep=sweep,
        search=search,
        transfer=transfer,
    )
    run_job("study", data, settings, files)


@app.command
def inspect(
    data: flags.Data,
    *,
    split_seed: Annotated[
        int, Parameter(help="Seed of what is val and test, where the data do not say.")
    ] = 0,
    split: Annotated[
        SplitName, Parameter(help="grouped: make splits anew, so that none divides a group.")
    ] = "given",
    fail_on: Annotated[
        str | None,
        Parameter(help=f"End with exit code 2 where these are found: {', '.join(FINDINGS)}."),
    ] = None,
    exclude_to: Annotated[
        Path | None, Parameter(help="Write for --exclude which images should be left out, and why.")
    ] = None,
    labels: Annotated[
        bool,
        Parameter(help="Look for labels that look wrong too, with a pretrained backbone: minutes."),
    ] = False,
    backbone: Annotated[
        str | None, Parameter(help="The backbone for that [default: efficientnet-lite0].")
    ] = None,
    minutes: Annotated[
        float | None, Parameter(help="Minutes that this may take [default: as a study has].")
    ] = None,
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Look at the data: balance, copies, leaks between splits, shortcuts, files, samples.

    Example: `tellapart inspect photos/`

    Example: `tellapart inspect photos/ --labels`
    """
    from tellapart.data.exclude import write_names

    named = read_list(fail_on) if fail_on else ()
    for name in named:
        if name not in FINDINGS:
            raise SettingError(
                f"--fail-on must name some of {', '.join(FINDINGS)}, but got {name!r}"
                f"{suggest_name(name, FINDINGS)}"
            )
    look = labels or backbone is not None or bool({"labels", "outliers"} & set(named))
    settings = StudySettings(
        steps=("inspect", "labels") if look else ("inspect",),
        split_seed=split_seed,
        split=split,
        minutes=minutes,
        transfer=TransferSettings(backbones=() if backbone is None else (backbone,)),
    )
    record = run_job("inspect", data, settings, files)
    if record is None:
        return
    steps = [one for one in record.steps.values() if isinstance(one, InspectStep | LabelsStep)]
    findings = [finding for step in steps for finding in step.findings]
    for text in (text for step in steps for text in step.unchecked if named):
        print(f"not looked for: {text}", file=sys.stderr)
    if exclude_to is not None:
        reasons = {name: one.title for one in findings for name in one.leave_out}
        path = write_names(expand_path(exclude_to), reasons)
        if not files.as_json:
            print_text(f"{len(reasons):,} images: {path}")
    if failed := [one for one in findings if one.name in named]:
        raise DataError(
            "; ".join(f"{one.title.lower()}: {one.sentence} {one.advice}" for one in failed)
        )


@app.command
def train(
    data: flags.Data,
    *,
    network: flags.Network = flags.SizedFlags(),
    recipe: flags.Recipe = RecipeSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Train one network and test it once.

    Example: `tellapart train cifar10 --model deep --epochs 50 --protocol notebook`
    """
    settings = StudySettings(**dict(run), steps=("baseline",), model=network.make(), recipe=recipe)
    run_job("train", data, settings, files)


@app.command
def sweep(
    data: flags.Data,
    *,
    vary: Annotated[tuple[str, ...], Parameter(help=VARIED)] = ("width",),
    sizes: Annotated[str, Parameter(help="Sizes of width or dense, separated by commas.")] = "",
    network: flags.Network = flags.SizedFlags(),
    recipe: flags.Recipe = RecipeSettings(),
    sweep: flags.Sweep = SweepSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Vary a setting, several seeds each: does size matter?

    Any setting of a network or its training can vary, one or two at a time, on val alone.

    Example: `tellapart sweep digits --vary width --sizes 8,16,32 --seeds 3`

    Example: `tellapart sweep digits --vary dense=32,64 --vary lr=1e-3,3e-3 --epochs 5`
    """
    from tellapart.study.steps.vary import choose_varied

    model = network.make()
    step, varied = choose_varied(vary, sizes, model)
    settings = StudySettings(
        **dict(run),
        steps=(step,),
        model=model,
        recipe=recipe,
        sweep=sweep.model_copy(update=varied),
    )
    run_job("sweep", data, settings, files)


@app.command
def search(
    data: flags.Data,
    *,
    search: flags.Search = SearchSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Search for the best network from scratch, and test it once.

    Example: `tellapart search digits --trials 12`
    """
    settings = StudySettings(**dict(run), steps=("search",), search=search)
    run_job("search", data, settings, files)


@app.command
def transfer(
    data: flags.Data,
    *,
    transfer: flags.Transfer = TransferSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Train a head on the features of frozen pretrained backbones.

    Example: `tellapart transfer photos/ --backbone efficientnet-lite0 --backbone mobilenetv2_100`
    """
    settings = StudySettings(**dict(run), steps=("transfer",), transfer=transfer)
    run_job("transfer", data, settings, files)


@app.command
def learn(
    data: flags.Data,
    *,
    network: flags.Network = flags.SizedFlags(),
    recipe: flags.Recipe = RecipeSettings(),
    sweep: flags.Sweep = SweepSettings(),
    run: flags.Run = RunSettings(),
    files: flags.Files = flags.FileFlags(),
) -> None:
    """Would more data help? Train on growing shares of the images, and look ahead.

    Example: `tellapart learn digits --seeds 2 --epochs 5`
    """
    settings = StudySettings(
        **dict(run), steps=("learn",), model=network.make(), recipe=recipe, sweep=sweep
    )
    run_job("learn", data, settings, files)


def run_job(
    verb: str, data: str, settings: StudySettings, files: flags.FileFlags
) -> StudyRecord | None:
    """Load the data, run the steps, and say where the report is; or what would be done (None)."""
    from tellapart.study.start import identify_study
    from tellapart.study.study import describe_plan, plan_study, run_study

    started = time.monotonic()
    choose_device(settings.compute.device)
    # backbones see images at sizes of their own: small pixels would be held for nothing
    dataset = files.load(data, memory_limit=0 if settings.steps == ("transfer",) else None)
    identity = identify_study(dataset, settings)
    out = files.out and expand_path(files.out)
    folder = out or name_folder(f"{dataset.name}-{verb}", identity)
    console = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)
    console.print(escape(f"{dataset.origin}; {dataset.size_reason}"), style="dim")
    notes = [f"note: {note}" for note in dataset.notes]
    notes += [f"left out: {file.path}: {file.reason}" for file in dataset.excluded[:10]]
    if len(dataset.excluded) > 10:
        notes.append(f"left out: {len(dataset.excluded)} files in all")
    for note in notes:
        console.print(escape(note), style="yellow")
    if files.plan:
        plan = plan_study(dataset, settings, folder, ConsoleReporter(console), started)
        print_json(plan) if files.as_json else print_text(describe_plan(plan))
        return None
    with ConsoleReporter(console) as reporter:
        command = shlex.join(["tellapart", *map(show_name, sys.argv[1:])])
        record = run_study(dataset, settings, folder, reporter, command, started)
    if files.as_json:
        print_json(record)
    else:
        print_text(f"report: {folder / 'report.html'}")
    return record
