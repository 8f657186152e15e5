"""From a command's flags to a study: load, run, say where the report is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tellapart.cli.flags import DataFlags
    from tellapart.data.dataset import Dataset
    from tellapart.plan import StudySettings


def run_steps(where: tuple[str, str, DataFlags, Path | None, bool], **values: Any) -> None:
    """Make settings, load the data, run the steps, and say where the report is."""
    from tellapart.config import (
        HeadSettings,
        RecipeSettings,
        make_settings,
    )
    from tellapart.console import show_download
    from tellapart.models import make_network_settings
    from tellapart.plan import StudySettings, SweepSettings, TransferSettings
    from tellapart.workspace import expand_path

    verb, data, place, out, json = where
    foresee = values.pop("plan", False)
    data_dir, out = (path and expand_path(path) for path in (place.data_dir, out))
    links = place.follow_links
    if "model" in values:
        values["model"] = make_network_settings(**values["model"])
    if "recipe" in values:
        values["recipe"] = make_settings(RecipeSettings, **values["recipe"])
    if "transfer" in values:
        head = make_settings(HeadSettings, **values["transfer"].pop("head", {}))
        values["transfer"] = make_settings(TransferSettings, head=head, **values["transfer"])
    if "sweep" in values:
        values["sweep"] = make_settings(SweepSettings, **values["sweep"])
    settings: StudySettings = make_settings(StudySettings, **values)

    from tellapart.data import load_images
    from tellapart.device import choose_device

    choose_device(settings.device)
    # backbones see images at sizes of their own: small pixels would be held for nothing
    limit = 0 if settings.steps == ("transfer",) else None
    with show_download(data) as progress:
        dataset = load_images(
            data, data_dir, progress=progress, memory_limit=limit, follow_links=links
        )
    _run_study(dataset, settings, (verb, out, json), foresee)


def _run_study(
    dataset: Dataset, settings: StudySettings, where: tuple[str, Path | None, bool], foresee: bool
) -> None:
    from rich.console import Console

    from tellapart.console import ConsoleReporter, escape, print_json, print_text
    from tellapart.data.tree import show_name
    from tellapart.study import foresee_study, identify_study, run_study
    from tellapart.study.plans import describe_plan
    from tellapart.workspace import name_folder

    verb, out, json = where
    identity = identify_study(dataset, settings)
    folder = out or name_folder(f"{dataset.name}-{verb}", identity)
    console = Console(stderr=True, soft_wrap=not sys.stderr.isatty())
    told = f"{dataset.origin}; {dataset.size_reason}"
    console.print(escape(told), style="dim", highlight=False)
    notes = [f"note: {note}" for note in dataset.notes]
    notes += [f"left out: {file.path}: {file.reason}" for file in dataset.excluded[:10]]
    if len(dataset.excluded) > 10:
        notes.append(f"left out: {len(dataset.excluded)} files in all")
    for note in notes:
        console.print(escape(note), style="yellow", highlight=False)
    if foresee:
        plan = foresee_study(dataset, settings, folder, ConsoleReporter(console))
        print_json(plan) if json else print_text(describe_plan(plan))
        return
    with ConsoleReporter(console) as reporter:
        command = shlex.join(["tellapart", *map(show_name, sys.argv[1:])])
        record = run_study(dataset, settings, folder, reporter, command)
    if json:
        print_json(record)
    else:
        print_text(f"report: {folder / 'report.html'}")
