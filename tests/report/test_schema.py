"""docs/results.schema.json says what the records are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from tellapart.records import StudyRecord, find_kind
from tellapart.report.sections import SECTIONS

SCHEMA = Path(__file__).parents[2] / "docs" / "results.schema.json"


def make_schema() -> dict[str, Any]:
    """Return the schema of results.json, with the record of each step by its name."""
    kinds = {name: find_kind(name) for name in SECTIONS}
    models = [(kind, "validation") for kind in (StudyRecord, *dict.fromkeys(kinds.values()))]
    _, schema = models_json_schema(models)  # type: ignore[arg-type]  # a list of pairs
    study = schema["$defs"].pop("StudyRecord")
    steps = study["properties"]["steps"]
    steps["properties"] = {n: {"$ref": f"#/$defs/{kind.__name__}"} for n, kind in kinds.items()}
    return {**schema, **study}


def write_schema() -> None:
    """Write docs/results.schema.json again."""
    SCHEMA.write_text(json.dumps(make_schema(), indent=1) + "\n")


def test_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == make_schema(), (
        "run: python -c 'from tests.report.test_schema import write_schema; write_schema()'"
    )
