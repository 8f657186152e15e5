"""What a model answers, as lines for a person, and as CSV, Parquet or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tellapart.errors import SettingError, suggest_name
from tellapart.predict.answers import Answers
from tellapart.workspace import write_parts

KINDS = (".csv", ".parquet", ".json", ".jsonl")
UNSURE = "I don't know"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet runs."""
ROWS = 10_000
"""Rows of a Parquet file that are held as they come, before they are packed."""

Row = dict[str, Any]


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


def list_columns(classes: Sequence[str], shown: Shown) -> list[str]:
    """Return the names of the columns of answers."""
    top = min(shown.top, len(classes))
    more = (f"{name}_{place}" for place in range(2, top + 1) for name in ("class", "probability"))
    plain = ["file", "predicted", "class", "probability", "unlike"]
    return [*plain, *more, *(f"p({name})" for name in classes)]


def list_rows(answers: Answers, shown: Shown) -> Iterator[Row]:
    """Give a row an image, as `list_columns` names them.

    ``class`` is the likeliest class; ``predicted`` is that, or None below the threshold;
    ``unlike`` is None where the model does not know.
    """
    names = list_columns(answers.classes, shown)
    for place, item in enumerate(answers.items):
        shares = answers.probabilities[place]
        order = (-shares).argsort(kind="stable")[: shown.top].tolist()
        likely = [value for one in order for value in (answers.classes[one], _round(shares[one]))]
        sure = shown.threshold is None or float(shares[order[0]]) >= shown.threshold
        unlike = None if answers.unlike is None else bool(answers.unlike[place])
        values = [item.name, likely[0] if sure else None, *likely[:2], unlike, *likely[2:]]
        yield dict(zip(names, [*values, *map(_round, shares.tolist())], strict=True))


def _round(share: float) -> float:
    return round(float(share), 6)


def write_answers(
    path: Path, parts: Iterable[Answers], shown: Shown, classes: Sequence[str]
) -> Path:
    """Write answers as they come, whole or not at all: CSV, JSON, JSON lines or Parquet.

    Texts in a CSV file that a spreadsheet would take for a formula begin with an apostrophe.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written.
    """
    rows = (row for part in parts for row in list_rows(part, shown))
    names = list_columns(classes, shown)
    kind = path.suffix.lower()
    if kind == ".csv":
        return write_parts(path, _write_csv(names, rows))
    if kind == ".parquet":
        return write_parts(path, _write_parquet(names, rows))
    return write_parts(path, _write_lines(rows) if kind == ".jsonl" else _write_json(rows))


def _write_csv(names: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    for values in chain([names], (row.values() for row in rows)):
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerow(map(_disarm, values))
        yield stream.getvalue().encode(errors="backslashreplace")


def _disarm(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    return (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _write_json(rows: Iterable[Row]) -> Iterator[bytes]:
    before = b"[\n"
    for line in _write_lines(rows):
        yield before + line.rstrip()
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def batched(rows: Iterable[Row], count: int) -> Iterator[list[Row]]:
    """Give rows so many at a time."""
    left = iter(rows)
    while part := list(islice(left, count)):
        yield part


def _write_parquet(names: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"unlike": pa.bool_(), "file": pa.string(), "predicted": pa.string()}
    kinds |= {name: pa.string() for name in names if name.startswith("class")}
    schema = pa.schema([(name, kinds.get(name, pa.float32())) for name in names])
    parts = [pa.Table.from_pylist(list(own), schema) for own in batched(rows, ROWS)]
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables([schema.empty_table(), *parts]), sink)
    yield sink.getvalue()


def say_answers(answers: Answers, shown: Shown) -> Iterator[str]:
    """Give a line an image: its name, and its likeliest classes in per cent."""
    for row in list_rows(answers, shown):
        last = min(shown.top, len(answers.classes))
        ends = ("", *(f"_{place}" for place in range(2, last + 1)))
        parts = (f"{row[f'class{end}']} {100 * row[f'probability{end}']:.1f} %" for end in ends)
        said = "  ".join(parts)
        said = said if row["predicted"] is not None else f"{UNSURE} ({said})"
        yield f"{row['file']}  {said}" + ("  (unlike the training images)" if row["unlike"] else "")
