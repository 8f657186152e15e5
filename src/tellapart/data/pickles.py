"""Fields of a pickle as plain data: lists, numbers, text and byte arrays; nothing in it is run."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DataError


class _PlainType:
    """Stands for a number format named in a pickle."""

    def __init__(self, code: object = "", *rest: object) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Take no notice: one-byte numbers have no state that matters."""


class _PlainArray:
    """Stands for an array in a pickle: takes its state as data, runs nothing."""

    def __init__(self, *rest: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def to_numpy(self) -> NDArray[np.uint8] | None:
        """Return (rows, columns) bytes, or None where the state is of anything else."""
        match self.state:
            case (_, (int(rows), int(columns)), _PlainType(code="u1" | "|u1" | "B"), order, raw):
                content = raw.encode("latin1") if isinstance(raw, str) else raw
                if isinstance(content, bytes) and len(content) == rows * columns:
                    shape = (columns, rows) if order else (rows, columns)
                    array = np.frombuffer(content, np.uint8).reshape(shape)
                    return array.T if order else array
        return None


def _encode_text(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_STANDS_FOR: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _PlainArray,
    ("numpy._core.multiarray", "_reconstruct"): _PlainArray,
    ("numpy", "ndarray"): _PlainArray,
    ("numpy", "dtype"): _PlainType,
    ("_codecs", "encode"): _encode_text,
}


class _DataUnpickler(pickle.Unpickler):
    """Parses lists, dicts, numbers, text and arrays; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STANDS_FOR:
            raise DataError(
                f"is refused: it asks to run {module}.{name}, which a data file never needs"
            )
        return _STANDS_FOR[module, name]


def parse_fields(content: bytes) -> dict[str, Any]:
    """Return the fields of a pickled dict; byte arrays of two dimensions come as NumPy's.

    Raises:
        DataError: it asks for anything but plain data, is damaged, or holds no dict.
    """
    try:
        found = _DataUnpickler(io.BytesIO(content), encoding="latin1").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"is truncated or damaged ({error})") from error
    if not isinstance(found, dict):
        raise DataError("holds no table of fields")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): (
            value.to_numpy() if isinstance(value, _PlainArray) else value
        )
        for key, value in found.items()
    }
