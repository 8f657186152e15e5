"""Each number of a report has a row in docs/trust.md, whose figures are those of simulations."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import BaseModel

from tellapart import records
from tellapart.records import Estimate
from tests.simulations import RANKED, SIMULATIONS, count_rankings
from tests.trust import PAGE, ROWS, SLOW, count_held, make_page, read_figures

UNSURE = ("low", "high", "p_value", "picked", "limit", "possible", "firm", "luck", "effective")
"""Fields that say how sure something is, whatever their type."""
CASES = [(name, place) for name, settings in SIMULATIONS.items() for place in settings]


def has_estimate(kind: object) -> bool:
    return kind is Estimate or any(has_estimate(part) for part in get_args(kind))


def list_unsure() -> set[str]:
    """Return the fields of all records that are an estimate, or say how sure something is."""
    kinds = [
        one
        for one in vars(records).values()
        if isinstance(one, type) and issubclass(one, BaseModel)
    ]
    return {
        f"{kind.__name__}.{name}"
        for kind in kinds
        if kind is not Estimate
        for name in kind.__annotations__.keys() & kind.model_fields.keys()
        if name in UNSURE or has_estimate(kind.model_fields[name].annotation)
    }


def test_every_number_that_is_not_certain_has_a_row() -> None:
    known = {field for row in ROWS for field in row.fields}
    assert sorted(list_unsure() - known) == []
    for field in known:
        kind, name = field.split(".")
        assert name in getattr(records, kind).model_fields, field


def test_the_page_has_the_figures_of_the_simulations() -> None:
    assert PAGE.read_text("utf-8") == make_page(read_figures())


def check(name: str, place: str, held: int, of: int) -> None:
    """Compare with what the page says: no less often, beyond chance."""
    stated, draws = read_figures()[name][place]
    if not of or not draws:
        return
    share = stated / draws
    error = (max(share * (1 - share), 0.01) * (1 / of + 1 / draws)) ** 0.5
    assert held / of >= share - 3.5 * error, f"{name}, {place}: {held} of {of}"


@pytest.mark.parametrize("name", SIMULATIONS)
def test_it_holds_as_often_as_the_page_says(name: str) -> None:
    place = next(iter(SIMULATIONS[name]))
    held, of = count_held(name, place, 8 if name in SLOW else 60)
    assert of, "it always says something here"
    check(name, place, held, of)


def test_rankings_hold_as_often_as_the_page_says() -> None:
    place = "saturating, seeds spread 0.6 points"
    for name, (held, of) in count_rankings(place, 12).items():
        check(name, place, held, of)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), CASES)
def test_it_holds_in_many_draws(name: str, place: str) -> None:
    check(name, place, *count_held(name, place, 100 if name in SLOW else 1000))


@pytest.mark.slow
@pytest.mark.parametrize("place", RANKED)
def test_rankings_hold_in_many_draws(place: str) -> None:
    for name, (held, of) in count_rankings(place, 60).items():
        check(name, place, held, of)
