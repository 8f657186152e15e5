"""What a step says of the model that it tested."""

from __future__ import annotations

from typing import Any

from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import Estimate, RunRecord, TestRecord
from tellapart.study.answers import label_network

UNMEASURED = {"status": "done", "seconds": 0.0, "peak_memory_mb": 0.0}


def estimate_last(run: RunRecord) -> Estimate | None:
    """Return the last epoch's accuracy where the best one was chosen on test, else None."""
    if run.chosen_on != "test":
        return None
    n = run.val_accuracy.n
    return estimate_proportion(round(run.history[-1].val_accuracy * n), n)


def describe_model(run: RunRecord, test: TestRecord) -> dict[str, Any]:
    """Return the fields that every step with a model has."""
    return UNMEASURED | {
        "model": label_network(run),
        "parameters": run.parameters,
        "val_accuracy": run.val_accuracy,
        "test_accuracy": test.accuracy,
        "honest_accuracy": estimate_last(run),
        "run": run,
        "test": test,
    }
