"""Numbers are said one way."""

from __future__ import annotations

import pytest

from tellapart.records import Estimate
from tellapart.report.wording import say_estimate, say_memory, say_percent, say_seconds


def test_estimate_has_value_interval_and_n() -> None:
    estimate = Estimate(value=0.624, low=0.5932, high=0.6541, n=1000)
    assert say_estimate(estimate) == "62.4 % (59.3 to 65.4, n = 1,000)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (3599.6, "1 h 00 min"),
     (7199, "2 h 00 min"), (90000, "25 h 00 min"), (float("nan"), "not finite")],
)  # fmt: skip
def test_durations_carry_over(seconds: float, said: str) -> None:
    assert say_seconds(seconds) == said


def test_not_finite_is_no_number() -> None:
    assert say_percent(float("nan")) == "not finite"
    assert say_memory(999.6) == "1.0 GB"
