"""The one table of the steps of a study, in their order."""

from __future__ import annotations

from tellapart.study.steps import baseline, inspect, learn, search, sweep, transfer, vary
from tellapart.study.steps.step import Step

STEPS: dict[str, Step] = {
    "inspect": inspect.STEP,
    "baseline": baseline.STEP,
    "conv": sweep.CONV,
    "dense": sweep.DENSE,
    "search": search.STEP,
    "transfer": transfer.STEP,
    "learn": learn.STEP,
    "vary": vary.STEP,
}
