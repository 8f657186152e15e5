"""What a model answers, as lines for a person, and as CSV, Parquet or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import SettingError, suggest_name
from tellapart.predict.answers import Answers
from tellapart.workspace import write_parts

KINDS = (".csv", ".parquet", ".json", ".jsonl")
UNSURE = "I don't know"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet runs."""


@dataclass(frozen=True)
class Shown:
    """How answers are shown: so many classes of each image, and a threshold of confidence."""

    top: int = 1
    threshold: float | None = None


def check_output(path: Path) -> None:
    """Refuse an ending that stands for no kind of file."""
    if path.suffix.lower() not in KINDS:
        raise SettingError(
            f"--out must end in {', '.join(KINDS)}, but got {path}"
            f"{suggest_name(path.suffix.lower(), KINDS)}"
        )


def list_rows(answers: Answers, shown: Shown) -> Iterator[dict[str, Any]]:
    """Give a row an image: file, predicted, probability, answered, unlike, and further classes.

    With a threshold, ``predicted`` is empty below it.
    """
    for place, item in enumerate(answers.items):
        shares = answers.probabilities[place]
        order = (-shares).argsort(kind="stable")[: max(1, shown.top)].tolist()
        best = float(shares[order[0]])
        sure = shown.threshold is None or best >= shown.threshold
        row: dict[str, Any] = {
            "file": item.name,
            "predicted": answers.classes[order[0]] if sure else "",
            "probability": round(best, 6),
            "unlike": bool(answers.unlike[place]),
        }
        for number, other in enumerate(order[1:], 2):
            row[f"predicted_{number}"] = answers.classes[other]
            row[f"probability_{number}"] = round(float(shares[other]), 6)
        yield row | {
            f"p({name})": round(float(share), 6)
            for name, share in zip(answers.classes, shares.tolist(), strict=True)
        }


def write_answers(path: Path, parts: Iterable[Answers], shown: Shown) -> Path:
    """Write answers as they come, whole or not at all: CSV, JSON, JSON lines or Parquet.

    Texts in a CSV file that a spreadsheet would take for a formula begin with an apostrophe.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written.
    """
    rows = (row for part in parts for row in list_rows(part, shown))
    kind = path.suffix.lower()
    write = {".csv": _write_csv, ".jsonl": _write_lines, ".json": _write_json}.get(kind)
    return write_parts(path, write(rows) if write else _write_parquet(rows))


def _write_csv(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    first = True
    for row in rows:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        if first:
            writer.writerow(_disarm(name) for name in row)
            first = False
        writer.writerow(_disarm(value) for value in row.values())
        yield stream.getvalue().encode(errors="backslashreplace")


def _disarm(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_lines(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _write_json(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    before = b"[\n"
    for line in _write_lines(rows):
        yield before + line.rstrip()
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def _write_parquet(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    yield sink.getvalue()


def say_answers(answers: Answers, shown: Shown) -> Iterator[str]:
    """Give a line an image: its name, and its likeliest classes in per cent."""
    for row in list_rows(answers, shown):
        numbers = ("", *(f"_{number}" for number in range(2, shown.top + 1)))
        pairs = [
            (row[f"predicted{number}"], row[f"probability{number}"])
            for number in numbers
            if f"predicted{number}" in row
        ]
        said = "  ".join(f"{name or UNSURE} {100 * share:.1f} %" for name, share in pairs)
        yield f"{row['file']}  {said}" + ("  (unlike the training images)" if row["unlike"] else "")
