"""Are the classes equally frequent?"""

from __future__ import annotations

import numpy as np

from tellapart.audit.checks.check import Looked
from tellapart.records import Finding

MATTERS = 1.5
"""Ratio of the largest to the smallest class from which balance is worth a word."""
GRAVE_RATIO = 10.0
"""Ratio from which it is grave: accuracy alone then says next to nothing of the rare classes."""


def describe_balance(totals: dict[str, int]) -> str:
    """Say in a sentence whether the balance of classes matters.

    >>> describe_balance({"a": 50, "b": 50})
    'Every class has 50 images: balance is no issue, and plain accuracy is a fair measure.'
    """
    large, small = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
    most, least = totals[large], totals[small]
    if most == least:
        return (
            f"Every class has {most:,} images: balance is no issue, and plain accuracy is a fair "
            "measure."
        )
    ratio = most / max(1, least)
    sizes = (
        f"The largest class ({large}, {most:,}) has {ratio:.1f} times the images of the smallest "
        f"({small}, {least:,})"
    )
    if ratio < MATTERS:
        return f"{sizes}: close enough to balanced that it is no issue."
    return (
        f"{sizes}: balance matters. Always answering {large} would be right "
        f"{100 * most / sum(totals.values()):.1f} % of the time, so read accuracy against that, "
        f"and look at the recall of {small}; "
        "tellapart train --class-weights balanced gives every class the same weight."
    )


def check_balance(looked: Looked) -> Finding | None:
    """Return a finding where the largest class has many times the images of the smallest."""
    dataset = looked.dataset
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    ratio = float(counts.max() / max(1, counts.min()))
    if ratio < MATTERS:
        return None
    totals = dict(zip(dataset.classes, counts.tolist(), strict=True))
    return Finding(
        name="balance",
        title="Classes are unequal",
        severity="grave" if ratio >= GRAVE_RATIO else "mind",
        count=int(counts.min()),
        of=len(dataset),
        sentence=describe_balance(totals),
        advice="Read balanced accuracy beside accuracy; --metric balanced_accuracy chooses by it.",
    )
