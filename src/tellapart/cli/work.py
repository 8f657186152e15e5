"""From a command's settings to a study: load, run, say where the report is."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass

from tellapart.cli.flags import AnswerFlags, PlaceFlags
from tellapart.study.settings import StudySettings


@dataclass(frozen=True)
class Job:
    """What a command does: a study of data."""

    verb: str
    data: str
    settings: StudySettings
    place: PlaceFlags
    answer: AnswerFlags


def run_job(job: Job) -> None:
    """Load the data, run the steps, and say where the report is; or what would be done."""
    from rich.console import Console

    from tellapart.console import (
        ConsoleReporter,
        escape,
        print_json,
        print_text,
        show_download,
    )
    from tellapart.data import load_images
    from tellapart.data.tree import show_name
    from tellapart.device import choose_device
    from tellapart.study.start import identify_study
    from tellapart.study.study import describe_plan, plan_study, run_study
    from tellapart.workspace import expand_path, name_folder

    settings, place, started = job.settings, job.place, time.monotonic()
    choose_device(settings.device)
    # backbones see images at sizes of their own: small pixels would be held for nothing
    limit = 0 if settings.steps == ("transfer",) else None
    where = place.data_dir and expand_path(place.data_dir)
    with show_download(job.data) as progress:
        dataset = load_images(
            job.data,
            where,
            progress=progress,
            memory_limit=limit,
            follow_links=place.follow_links,
        )
    identity = identify_study(dataset, settings)
    out = place.out and expand_path(place.out)
    folder = out or name_folder(f"{dataset.name}-{job.verb}", identity)
    console = Console(stderr=True, soft_wrap=not sys.stderr.isatty())
    told = f"{dataset.origin}; {dataset.size_reason}"
    console.print(escape(told), style="dim", highlight=False)
    notes = [f"note: {note}" for note in dataset.notes]
    notes += [f"left out: {file.path}: {file.reason}" for file in dataset.excluded[:10]]
    if len(dataset.excluded) > 10:
        notes.append(f"left out: {len(dataset.excluded)} files in all")
    for note in notes:
        console.print(escape(note), style="yellow", highlight=False)
    if job.answer.plan:
        plan = plan_study(dataset, settings, folder, ConsoleReporter(console), started)
        print_json(plan) if job.answer.as_json else print_text(describe_plan(plan))
        return
    with ConsoleReporter(console) as reporter:
        command = shlex.join(["tellapart", *map(show_name, sys.argv[1:])])
        record = run_study(dataset, settings, folder, reporter, command, started)
    if job.answer.as_json:
        print_json(record)
    else:
        print_text(f"report: {folder / 'report.html'}")
