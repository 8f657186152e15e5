"""The one table of the steps of a study, in the order in which they run.

The transfer is before the search, which makes something of whatever time is left; the
look at labels takes its features.
"""

from __future__ import annotations

from tellapart.study.steps import (
    baseline,
    inspect,
    labels,
    learn,
    model,
    search,
    sweep,
    transfer,
    vary,
)
from tellapart.study.steps.step import Step

STEPS: dict[str, Step] = {
    "inspect": inspect.STEP,
    "baseline": baseline.STEP,
    "conv": sweep.CONV,
    "dense": sweep.DENSE,
    "transfer": transfer.STEP,
    "labels": labels.STEP,
    "search": search.STEP,
    "learn": learn.STEP,
    "vary": vary.STEP,
    "model": model.STEP,
}
