"""The report: one page with everything in it, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import shlex
from pathlib import Path

from tellapart.errors import WorkspaceError
from tellapart.records import ROLES, StepRecord, StudyRecord
from tellapart.report import canvas, headline, ranking, wording
from tellapart.report.sections import SECTIONS
from tellapart.workspace import expand_path, read_record, write_text

HERE = Path(__file__).parent
SHOWN = 200  # rows of files left out, and of a model's classes; results.json has them all

_drawn: dict[Path, dict[str, tuple[StepRecord, dict[str, str]]]] = {}
"""Pictures of each study's steps: a page is written after every step, drawing it takes seconds."""


def write_report(folder: str | Path) -> Path:
    """Read ``results.json`` in a study's folder, write ``report.html`` beside it; return its path.

    Raises:
        WorkspaceError: the results are missing or of another version, or nothing can be written.
    """
    folder = expand_path(folder)
    if not (folder / "results.json").is_file():
        raise WorkspaceError(
            f"report needs the folder of a study, but {folder} holds no results.json; "
            "name the folder that the study said"
        )
    record = read_record(folder / "results.json", StudyRecord)
    return write_text(folder / "report.html", render_report(record, folder))


def render_report(record: StudyRecord, folder: Path) -> str:
    """Return the page as HTML. Every name in the record is taken as text, never as markup."""
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
        name: say for name, say in (vars(wording) | vars(ranking)).items() if callable(say)
    }
    pages.globals |= {"shown": SHOWN, "roles": ROLES}
    steps, models = headline.list_steps(record), headline.list_models(record)
    place = wording.hide_home(shlex.quote(str(folder)))
    drawn, bodies = _drawn.setdefault(folder, {}), {}
    for name, step in steps.items():
        section = SECTIONS[name]
        if name not in drawn or drawn[name][0] != step:
            drawn[name] = step, section.embed(step, record.data.classes, folder)
        path = HERE / "sections" / (section.template or "plain.html")
        template = pages.from_string(path.read_text(encoding="utf-8"))
        body = template.render(
            step=step,
            record=record,
            pictures=drawn[name][1],
            sections=SECTIONS,
            folder=place,
        )
        bodies[name] = Markup(body)  # escaped where it was made
    answer, details = headline.state_headline(record)
    script, style = ((HERE / name).read_text("utf-8") for name in ("script.js", "style.css"))
    return pages.get_template("page.html").render(
        record=record,
        steps=steps,
        sections=SECTIONS,
        numbers={name: number for number, name in enumerate(SECTIONS, 1)},
        bodies=bodies,
        models=models,
        best=headline.find_best(record),
        answer=answer,
        details=details,
        overview=canvas.embed_figure(lambda: headline.plot_steps(models)) if models else "",
        optimistic=headline.is_optimistic(record),
        # Both files are tellapart's own; nothing of the record is in them.
        style=Markup(style),
        script=Markup(script),
        script_hash=hash_source(script),
    )


def hash_source(source: str) -> str:
    """Return the hash by which a content security policy allows one inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
