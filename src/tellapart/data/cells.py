"""Parquet files and Arrow tables: columns as texts, and images in cells.

The images of a file are read a group of rows at a time.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tellapart.data.content import BytesContent, Content, FileContent, check_bytes
from tellapart.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


SEVERAL = "\x1f"
"""Stands between the values of a cell that has several."""
_READING = threading.Lock()


@dataclass(frozen=True)
class CellContent:
    """The image in a column, in a row of a group of rows of a Parquet file."""

    path: Path
    column: str
    group: int
    row: int
    stamp: int

    @contextmanager
    def open(self) -> Iterator[bytes]:
        import pyarrow as pa

        try:
            with _READING:  # or each thread would read the same rows
                cells = _read_group(self.path, self.column, self.group, self.stamp)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path.name} is damaged, or gone ({error})") from error
        cell = cells[self.row]
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not content:
            raise DataError("its cell holds no image; files that a cell names are not read")
        check_bytes(len(content))
        yield content


@lru_cache(maxsize=4)
def _read_group(path: Path, column: str, group: int, stamp: int) -> list[Any]:
    """Return the cells of a column in a group of rows: the next image is likely to be of it."""
    found: list[Any] = _open(path).read_row_group(group, [column]).column(0).to_pylist()
    return found


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path.name} is no regular file; give one")
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{path.name} is no Parquet file that can be read ({error}); fetch or write it again"
        ) from error


def list_cells(content: Content) -> dict[str, list[Content]]:
    """Return the columns that hold the bytes of images, and where each image lies.

    Those of a member of an archive are held in memory.
    """
    if not isinstance(content, FileContent):
        return _read_held(content, images=True)[1]
    file = _open(content.path)
    found: dict[str, list[Content]] = {}
    stamp = content.path.stat().st_mtime_ns
    for name in _list_columns(file.schema_arrow, images=True):
        found[name] = [
            CellContent(content.path, name, group, row, stamp)
            for group in range(file.num_row_groups)
            for row in range(file.metadata.row_group(group).num_rows)
        ]
    return found


def read_columns(content: Content) -> dict[str, list[str]]:
    """Return the other columns as texts; classes by their names, where these are known."""
    import pyarrow as pa

    if not isinstance(content, FileContent):
        return _read_held(content, images=False)[0]
    try:
        file = _open(content.path)
        return split_table(file.read(_list_columns(file.schema_arrow, images=False)))[0]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"a damaged Parquet file ({error}); fetch it again") from error


def _read_held(
    content: Content, images: bool
) -> tuple[dict[str, list[str]], dict[str, list[Content]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with content.open() as held:
            file = pq.ParquetFile(io.BytesIO(held))
            return split_table(file.read(_list_columns(file.schema_arrow, images)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"a damaged Parquet file ({error}); fetch it again") from error


def split_table(table: pa.Table) -> tuple[dict[str, list[str]], dict[str, list[Content]]]:
    """Return the columns of a table in memory as texts, and those that hold images."""
    classes = _read_class_names(table.schema)
    texts = {
        name: [_say(value, classes.get(name)) for value in table.column(name).to_pylist()]
        for name in _list_columns(table.schema, images=False)
    }
    images = {
        name: [_hold(cell) for cell in table.column(name).to_pylist()]
        for name in _list_columns(table.schema, images=True)
    }
    return texts, images


def _hold(cell: Any) -> Content:
    if isinstance(cell, dict) and not cell.get("bytes") and cell.get("path"):
        return FileContent(Path(cell["path"]))  # as the program itself named it
    return BytesContent((cell.get("bytes") if isinstance(cell, dict) else cell) or b"")


def _list_columns(schema: pa.Schema, images: bool) -> list[str]:
    import pyarrow.types as kinds

    def holds_images(kind: Any) -> bool:
        if kinds.is_struct(kind):
            return "bytes" in [kind.field(place).name for place in range(kind.num_fields)]
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))

    return [one.name for one in schema if holds_images(one.type) == images]


def _read_class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of classes that the hub's Parquet files carry, by column."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about["info"]["features"]
        return {
            name: [str(one) for one in feature["names"]]
            for name, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _say(value: object, classes: list[str] | None) -> str:
    if value is None or value != value:  # NaN, too
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if classes and isinstance(value, int) and not isinstance(value, bool):
        return classes[value] if 0 <= value < len(classes) else ""  # -1 is none
    if isinstance(value, list):
        return SEVERAL.join(str(one) for one in value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
