"""The report: one page with everything in it, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from tellapart.errors import WorkspaceError
from tellapart.records import (
    ROLES,
    STEPS,
    ModelStep,
    Scalar,
    StepName,
    StudyRecord,
)
from tellapart.report import wording
from tellapart.report.headline import find_best, state_headline
from tellapart.report.pictures import picture_grid, picture_learning, picture_step, picture_study
from tellapart.report.timing import list_timings
from tellapart.workspace import expand_path, read_record, write_text

HERE = Path(__file__).parent
SHOWN = 200  # rows of files left out, and of a model's classes; results.json has them all


def write_report(folder: str | Path) -> Path:
    """Read ``results.json`` in a study's folder, write ``report.html`` beside it.

    Returns:
        The path of the page.

    Raises:
        WorkspaceError: the results are missing or of another version, or the folder cannot
            be written.
    """
    folder = expand_path(folder)
    if not (folder / "results.json").is_file():
        raise WorkspaceError(
            f"report needs the folder of a finished study, but {folder} holds no results.json; "
            "name the folder that the study said"
        )
    record = read_record(folder / "results.json", StudyRecord)
    return write_text(folder / "report.html", render_report(record, folder))


def render_report(record: StudyRecord, folder: Path) -> str:
    """Return the page as HTML. Every name in the record is taken as text, never as markup.

    Args:
        record: the study.
        folder: the study's folder, where the sample grid lies.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "percent": wording.say_percent,
        "points": wording.say_points,
        "seconds": wording.say_seconds,
        "memory": wording.say_memory,
        "p_value": wording.say_p,
        "scalar": wording.say_scalar,
        "without_home": wording.hide_home,
        "setting": wording.say_setting,
        "tie": wording.tie_units,
        "breakable": lambda name: Markup("<wbr>").join(wording.cut_name(name)),
        "verdict": wording.VERDICTS.__getitem__,
        "settings": say_settings,
    }
    pages.globals["shown"] = SHOWN
    script = (HERE / "script.js").read_text(encoding="utf-8")
    style = (HERE / "style.css").read_text(encoding="utf-8")
    classes = record.data.classes
    context: dict[str, Any] = {
        "record": record,
        "roles": [role for role in ROLES if record.data.counts.get(role)],
        "names": STEPS,
        "titles": wording.TITLES,
        "questions": ask_questions(record),
        "numbers": {name: i for i, name in enumerate(STEPS, 1)},
        "models": [
            (name, step) for name in STEPS if isinstance(step := record.steps.get(name), ModelStep)
        ],
        "best": _name_best(record),
        "headline": state_headline(record),
        "overview": picture_study(record),
        "learning": None if record.learning is None else picture_learning(record.learning),
        "grid": None if record.grid is None else picture_grid(record.grid),
        "pictures": {
            name: picture_step(record.steps[name], classes, folder)
            for name in STEPS
            if name in record.steps
        },
        "optimistic": is_optimistic(record),
        "timings": list_timings(record),
        # Both files are tellapart's own; nothing of the record is in them.
        "style": Markup(style),
        "script": Markup(script),
        "script_hash": hash_source(script),
    }
    return pages.get_template("page.html").render(context)


def is_optimistic(record: StudyRecord) -> bool:
    """Say whether any reported number was measured on images that a choice was made on."""
    return record.protocol == "notebook" or any(
        isinstance(step, ModelStep) and step.test.optimistic for step in record.steps.values()
    )


def ask_questions(record: StudyRecord) -> dict[StepName, str]:
    """Return the question of each step; that of step 2 names the network, if it is another."""
    step = record.steps.get("baseline")
    if not isinstance(step, ModelStep) or step.run.model == "simple":
        return wording.QUESTIONS
    asked = f"What does the {step.run.model} network, trained from scratch, make of them?"
    return {**wording.QUESTIONS, "baseline": asked}


def say_settings(settings: dict[str, Scalar]) -> str:
    """Say settings on one line.

    >>> say_settings({"learning_rate": 0.001, "batch": 64})
    'learning rate 0.001 · batch 64'
    """
    return " · ".join(
        f"{wording.say_setting(name)} {wording.say_scalar(value)}"
        for name, value in settings.items()
    )


def hash_source(source: str) -> str:
    """Return the hash by which a content security policy allows one inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _name_best(record: StudyRecord) -> StepName | None:
    best = find_best(record)
    return None if best is None else best[0]
