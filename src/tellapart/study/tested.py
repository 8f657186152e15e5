"""What a step says of the model that it tested."""

from __future__ import annotations

from typing import Any

from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import RunRecord, TestRecord


def describe_model(run: RunRecord, test: TestRecord) -> dict[str, Any]:
    """Return the fields that every step with a model has."""
    honest = None
    if run.chosen_on == "test":  # the last epoch is one that nothing chose
        n = run.val_score.n
        honest = estimate_proportion(round(run.history[-1].val_score * n), n)
    return {
        "model": run.label, "parameters": run.parameters, "val_score": run.val_score,
        "test_score": test.score, "honest_score": honest, "run": run, "test": test,
    }  # fmt: skip
