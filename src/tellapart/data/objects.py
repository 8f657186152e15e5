"""What a program hands over: arrays, a DataFrame, a dataset of the Hugging Face hub's library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.config import IN_TABLES, ReadSettings
from tellapart.data.arrays import join_arrays
from tellapart.data.cells import split_table
from tellapart.data.dataset import Dataset
from tellapart.data.listing import Listing
from tellapart.data.loading import load_listing
from tellapart.data.tables import Table, find_beside, list_tables
from tellapart.errors import DataError, TellapartError

KINDS = (
    "arrays (images, labels), a pair of such pairs (train and test), pairs named train, val and "
    "test, a DataFrame, or a dataset of the hub's library"
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
            arrays = {}
            for role, pair in parts.items():
                if not _is_pair(pair):
                    raise DataError(f"DATA must be {KINDS}, but got {type(data).__name__}")
                arrays[role] = (np.asarray(pair[0]), np.asarray(pair[1]))
            settings.refuse_unused((), "arrays")
            return join_arrays((arrays, ()), "arrays", memory_limit)
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


def _is_pair(one: object) -> bool:
    return isinstance(one, tuple | list) and len(one) == 2


def _name_parts(data: object) -> dict[str, Any]:
    """Return the parts of data by split; of one that has none, by an empty name."""
    if isinstance(data, Mapping):
        names = {"validation": "val", "valid": "val"}
        return {names.get(str(role), str(role)): one for role, one in data.items()}
    if isinstance(data, tuple) and len(data) == 2 and all(map(_is_pair, data)):
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
