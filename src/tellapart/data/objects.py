"""What a program hands over: arrays, a DataFrame, a dataset of the Hugging Face hub's library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.config import IN_TABLES, ReadSettings
from tellapart.data.arrays import join_arrays
from tellapart.data.cells import split_table
from tellapart.data.dataset import Dataset
from tellapart.data.listing import Listing, show_name
from tellapart.data.loading import load_listing
from tellapart.data.tables import Table, find_beside, list_tables
from tellapart.errors import DataError, TellapartError

KINDS = (
    "arrays (images, labels) or (images, labels, groups), a pair of such (train and test), such "
    "named train, val and test, a DataFrame, or a dataset of the hub's library"
)


def load_objects(data: object, settings: ReadSettings, memory_limit: int) -> Dataset:
    """Read images that are in memory, or that a table in memory names.

    Raises:
        DataError: it is none of these, or has images that cannot be used.
    """
    import pyarrow as pa

    parts = _name_parts(data)
    if odd := [role for role in parts if role not in ("", "train", "val", "test")]:
        raise DataError(f"parts of DATA must be train, val and test, but one is {odd[0]!r}")
    try:
        tables = {role: table for role, one in parts.items() if (table := _read_table(role, one))}
        if tables.keys() != parts.keys():
            arrays, groups = {}, list[str]()
            for role, one in parts.items():
                if not _holds_arrays(one):
                    raise DataError(f"DATA must be {KINDS}, but got {type(data).__name__}")
                arrays[role] = (np.asarray(one[0]), np.asarray(one[1]))
                groups += _name_groups(*one[1:])
            settings.refuse_unused((), "arrays")
            found = join_arrays((arrays, ()), "arrays", memory_limit)
            return replace(found, names=tuple(groups) if any(groups) else ())
    except TellapartError:
        raise
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"DATA must be {KINDS}, but could not be read as such ({error}); give paths or bytes "
            "of images, or arrays of one shape"
        ) from error
    settings.refuse_unused(IN_TABLES, "a table")
    listing = Listing("the table", "table")
    trusting = settings.model_copy(update={"follow_links": True})  # a program's own paths
    find = find_beside(Path.cwd(), trusting)
    for table in tables.values():
        table.find = find
    list_tables(list(tables.values()), listing, settings)
    return load_listing(listing, Path("table"), settings, memory_limit)


def _holds_arrays(one: object) -> bool:
    return isinstance(one, tuple | list) and len(one) in (2, 3)


def _name_groups(labels: Sequence[object], groups: Sequence[object] | None = None) -> list[str]:
    """Return the group of each image; those without one have an empty name."""
    if groups is None:
        return [""] * len(labels)
    if len(groups) != len(labels):
        raise DataError(
            f"groups and labels must be as many, but got {len(groups):,} and {len(labels):,}; "
            "mend one"
        )
    cells = map(_plain, groups)
    return ["" if cell is None else show_name(str(cell)) for cell in cells]


def _name_parts(data: object) -> dict[str, Any]:
    """Return the parts of data by split; of one that has none, by an empty name."""
    if isinstance(data, Mapping):
        names = {"validation": "val", "valid": "val"}
        return {names.get(str(role), str(role)): one for role, one in data.items()}
    if isinstance(data, tuple) and len(data) == 2 and all(map(_holds_arrays, data)):
        return dict(zip(("train", "test"), data, strict=True))
    return {"": data}


def _read_table(role: str, one: Any) -> Table | None:
    """Return a DataFrame or a dataset of the hub's library as a table; None for what is neither."""
    import pyarrow as pa

    if hasattr(one, "with_format") and hasattr(one, "column_names"):
        table = one.with_format("arrow")[:]
        table = table.replace_schema_metadata(one.data.table.schema.metadata)
    elif hasattr(one, "columns") and hasattr(one, "to_dict"):
        table = pa.table(
            {str(name): pa.array([_plain(cell) for cell in one[name]]) for name in one.columns}
        )
    else:
        return None
    return Table(role or "the table", *split_table(table), role=role)


def _plain(cell: Any) -> Any:
    """Return a cell as Arrow takes it: paths as texts, what is missing as none."""
    if isinstance(cell, Path):
        return str(cell)
    if cell is None or (np.ndim(cell) == 0 and cell is not True and str(cell) in ("nan", "<NA>")):
        return None
    return cell
