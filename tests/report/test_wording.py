"""Numbers are said one way."""

from __future__ import annotations

import pytest

from tellapart.records import Estimate, Scalar
from tellapart.report import wording

SEEN = Estimate(value=0.624, low=0.5932, high=0.6541, n=1000)


def test_estimates_have_value_interval_and_n() -> None:
    said = "62.4 % (59.3 to 65.4, n = 1,000)"
    assert wording.say_estimate(SEEN) == said
    assert wording.say_score("accuracy", SEEN) == f"{said} of the test images right"
    assert wording.say_score("macro_f1", SEEN) == f"a macro F1 of {said} on the test images"
    assert wording.title_score("balanced_accuracy", "val") == "Balanced accuracy on val"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0 s"), (8.21, "8.2 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (192, "3 min 12 s"),
     (3599.6, "1 h 00 min"), (7199, "2 h 00 min"), (90000, "25 h 00 min")],
)  # fmt: skip
def test_durations_carry_over(seconds: float, said: str) -> None:
    assert wording.say_seconds(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00100, "0.001"), (50000, "50,000"), ((32, 64), "32, 64"), (None, "none"), (True, "yes")],
)
def test_settings_are_short(value: Scalar, said: str) -> None:
    assert wording.say_scalar(value) == said
    assert wording.say_settings({"lr": value}) == f"learning rate {said}"


def test_small_things_have_one_spelling() -> None:
    assert (wording.say_memory(812.3), wording.say_memory(999.6)) == ("812 MB", "1.0 GB")
    assert (wording.say_p(0.00002), wording.say_p(0.0412)) == ("< 0.001", "0.041")
    assert (wording.say_count(1, "seed"), wording.say_count(3, "seed")) == ("1 seed", "3 seeds")
    assert wording.say_points(-0.031) == "-3.1 points"
    assert wording.tie_units("61.2 % right") == "61.2\u00a0% right"
    assert wording.shorten_label("a $x$ b") == r"a \$x\$ b"
    parts = ["mobilenetv2_", "035.", "keras_", "in1k"]
    assert wording.cut_name("mobilenetv2_035.keras_in1k") == parts
