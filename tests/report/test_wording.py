"""Numbers are said one way."""

from __future__ import annotations

import pytest

from tellapart.records import Comparison, Estimate
from tellapart.report.wording import (
    say_comparison,
    say_estimate,
    say_memory,
    say_percent,
    say_seconds,
)


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


def make_comparison(only_first: int, only_second: int, p: float, detectable: float) -> Comparison:
    difference = (only_second - only_first) / 400
    return Comparison(
        first="a",
        second="b",
        difference=difference,
        low=difference - 0.04,
        high=difference + 0.04,
        bootstrap_low=difference - 0.04,
        bootstrap_high=difference + 0.04,
        detectable=detectable,
        only_first=only_first,
        only_second=only_second,
        n=400,
        p_value=p,
        p_holm=p,
        sentence="",
    )


def test_a_comparison_names_the_better_one_or_says_what_it_could_not_show() -> None:
    better = make_comparison(20, 90, 1e-9, 0.06)
    said = "B is better than the A by 17.5 points (13.5 to 21.5; corrected p < 0.001)."
    assert say_comparison(better, "the A", "B") == said
    worse = make_comparison(90, 20, 0.0413, 0.06)
    said = "The A is better than B by 17.5 points (13.5 to 21.5; corrected p = 0.041)."
    assert say_comparison(worse, "the A", "B") == said
    alike = say_comparison(make_comparison(20, 28, 0.31, 0.063), "the A", "runs/b")
    assert alike.startswith("The A and runs/b cannot be told apart on these 400 images")
    assert "hardly above 6.0 points. A true difference of 6.3 points would have been" in alike
    few = say_comparison(make_comparison(0, 1, 1.0, 1.0), "a", "b")
    assert few.endswith("So few images could show no difference at all.")
