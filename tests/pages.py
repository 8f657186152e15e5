"""The pages that are made from the code: docs/options.md, and the map in CONTRIBUTING.md.

Made anew by ``python -m tests.pages``.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args, get_origin

from cyclopts import Parameter
from pydantic import BaseModel

from tellapart.cli.flags import FileFlags, SizedFlags
from tellapart.config import RecipeSettings
from tellapart.study.settings import (
    RunSettings,
    SearchSettings,
    SweepSettings,
    TransferSettings,
)

ROOT = Path(__file__).resolve().parents[1]
GROUPS: dict[str, tuple[type[BaseModel], str]] = {
    "Run": (RunSettings, "of every command that trains"),
    "Network": (SizedFlags, "of `study`, `train`, `sweep` and `learn`"),
    "Training": (RecipeSettings, "of the same; what is not given is the network's own"),
    "Sweep": (SweepSettings, "of `study`, `sweep` and `learn`"),
    "Search": (SearchSettings, "of `study` and `search`"),
    "Transfer": (TransferSettings, "of `study` and `transfer`"),
    "Files and answer": (FileFlags, "of every command that reads data"),
}


def list_flags(kind: type[BaseModel]) -> list[tuple[str, str, str]]:
    """Return (flag, default, description) of the options that settings have."""
    rows = []
    for name, info in kind.model_fields.items():
        own = [part for part in info.metadata if isinstance(part, Parameter)]
        if any(part.parse is False for part in own):
            continue
        named = [str(name) for part in own for name in part.name or ()]
        if named == ["*"]:
            rows += list_flags(info.annotation)  # type: ignore[arg-type]  # settings within
            continue
        flag = named[0] if named else f"--{name.replace('_', '-')}"
        default = info.default
        said = "" if default in (None, (), False, "") else f"{default}"
        rows.append((flag, said, f"{info.description}{say_choices(info.annotation)}"))
    return rows


def say_choices(kind: Any) -> str:
    """Say the values of a type that has few."""
    parts = [kind, *get_args(kind)]
    for part in parts:
        if str(get_origin(part)) == "typing.Literal":
            return f" One of {', '.join(f'`{value}`' for value in get_args(part))}."
    return ""


def make_options() -> str:
    """Return docs/options.md."""
    lines = ["# Options", "", "Made from the settings themselves, as `--help` is.", ""]
    for title, (kind, whose) in GROUPS.items():
        lines += [f"## {title}: {whose}", "", "| option | default | |", "|---|---|---|"]
        lines += [f"| `{flag}` | {default} | {said} |" for flag, default, said in list_flags(kind)]
        lines.append("")
    return "\n".join(lines)


def make_map() -> str:
    """Return a phrase for each file of the source, by room."""
    source = ROOT / "src/tellapart"
    rooms: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(source.rglob("*.py")):
        phrase = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n\n")[0]
        room = file.relative_to(source).parent.as_posix()
        rooms.setdefault(room, []).append((file.name, " ".join(phrase.split())))
    lines = []
    for room, files in rooms.items():
        lines.append(f"- **{'src/tellapart' if room == '.' else room}**")
        lines += [f"  - `{name}`: {phrase}" for name, phrase in files]
    return "\n".join(lines)


def write_pages() -> None:
    """Write both."""
    (ROOT / "docs/options.md").write_text(make_options(), encoding="utf-8")
    page = ROOT / "CONTRIBUTING.md"
    before = page.read_text(encoding="utf-8").partition("## The map")[0]
    page.write_text(f"{before}## The map\n\n{make_map()}\n", encoding="utf-8")


if __name__ == "__main__":
    write_pages()
