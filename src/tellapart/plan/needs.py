"""What a plan needs besides time: memory and room on the disk, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.config import ModelSettings
from tellapart.models import Shape, count_planned
from tellapart.plan.rules import StudySettings, plan_swept
from tellapart.plan.searches import CONFIRMING, typical_network
from tellapart.records import Need, PlanRecord, StepName

TRAINING_BYTES, PARAMETER_BYTES = 1_000_000_000, 28
"""What a training takes: by itself, and for each weight (gradient, momentum, copies)."""
KEPT_BYTES, CHECKPOINT_BYTES = 4, 16
"""What a weight takes on the disk: in the network that is kept, and in a checkpoint."""
CHECKPOINTS = 2
CELL_BYTES = 150_000
"""The records and figures of a training."""


def weigh_training(model: ModelSettings, shape: Shape) -> int:
    """Return the bytes of memory that training a network may take, in a process of its own."""
    return TRAINING_BYTES + PARAMETER_BYTES * count_planned(model, shape)


def reckon_needs(plan: PlanRecord, settings: StudySettings, shape: Shape) -> dict[StepName, Need]:
    """Return what each step that trains from scratch may need, on a CPU."""
    found: dict[StepName, Need] = {}
    if plan.baseline is not None:
        found["baseline"] = _reckon([settings.model], 1, 1, shape)
    for step, sweep in plan.sweeps.items():
        models = [plan_swept(step, size) for size in sweep.sizes]
        need = _reckon(models, sweep.seeds, 1, shape)
        if sweep.apart:
            small = [plan_swept(step, size) for size in sweep.apart]
            several = _reckon(small, sweep.seeds, plan.processes, shape)
            need = need.model_copy(update={"memory_mb": max(need.memory_mb, several.memory_mb)})
        found[step] = need
    if plan.search is not None:
        count = plan.processes if plan.search.apart else 1
        trials = plan.search.trials + CONFIRMING + 1
        found["search"] = _reckon([typical_network(plan.search.width, shape)], trials, count, shape)
    return found


def _reckon(models: Sequence[ModelSettings], each: int, at_once: int, shape: Shape) -> Need:
    """Return the needs of training networks, each so many times; a process is there besides."""
    counts = [count_planned(model, shape) for model in models]
    memory = at_once * max(weigh_training(model, shape) for model in models)
    if at_once > 1:
        memory += TRAINING_BYTES
    kept = each * sum(KEPT_BYTES * count + CELL_BYTES for count in counts)
    disk = kept + at_once * CHECKPOINTS * CHECKPOINT_BYTES * max(counts)
    return Need(memory_mb=memory / 1e6, disk_mb=disk / 1e6)
