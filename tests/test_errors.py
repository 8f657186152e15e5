from __future__ import annotations

import inspect
import re

import pytest

from tellapart import errors
from tellapart.errors import TellapartError, UserError, suggest_name

CODES = {
    "TellapartError": 1,
    "UserError": 2,
    "SettingError": 2,
    "DataError": 2,
    "BackboneError": 2,
    "WorkspaceError": 2,
    "DeviceError": 2,
    "NotFinite": 1,
    "CellDied": 1,
    "Hopeless": 1,
    "Unreadable": 1,
    "Interrupted": 3,
    "BudgetError": 4,
}
KINDS = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TellapartError)
}


def test_exit_codes() -> None:
    assert {name: kind.exit_code for name, kind in KINDS.items()} == CODES


def test_all_are_one_tree_and_user_errors_are_those_of_code_2() -> None:
    for name, kind in KINDS.items():
        assert issubclass(kind, TellapartError)
        assert issubclass(kind, UserError) == (CODES[name] == 2)


def test_the_drawn_tree_names_each() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^[ │├└─]*([A-Z]\w+)  ", errors.__doc__, re.M)
    assert set(drawn) == set(CODES)


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("epoch", ["epochs", "lr"], "; did you mean 'epochs'?"),
        ("zebra", ["epochs", "lr"], ""),
        ("epochs", [], ""),
    ],
)
def test_the_nearest_name_is_suggested(name: str, known: list[str], answer: str) -> None:
    assert suggest_name(name, known) == answer
    assert suggest_name(name, dict.fromkeys(known)) == answer
