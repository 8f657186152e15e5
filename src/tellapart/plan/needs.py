"""What a plan needs besides time: memory and room on the disk, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tellapart.models import NetworkSettings, Shape, count_planned
from tellapart.plan.rules import StudySettings, plan_swept
from tellapart.plan.searches import CONFIRMING, largest_network, typical_network
from tellapart.plan.vary import list_levels, make_level
from tellapart.records import Need, Place, PlanRecord

TRAINING_BYTES, PARAMETER_BYTES = 1_000_000_000, 28
"""What a training takes: by itself, and for each weight (gradient, momentum, copies)."""
KEPT_BYTES, CHECKPOINT_BYTES = 4, 16
"""What a weight takes on the disk: in the network that is kept, and in a checkpoint."""
CHECKPOINTS = 2
CELL_BYTES = 150_000
"""The records and figures of a training."""


def weigh_training(model: NetworkSettings, shape: Shape) -> int:
    """Return the bytes of memory that training a network may take, in a process of its own."""
    return TRAINING_BYTES + PARAMETER_BYTES * count_planned(model, shape)


def reckon_needs(plan: PlanRecord, settings: StudySettings, shape: Shape) -> dict[Place, Need]:
    """Return about what each part that trains from scratch needs, on a CPU.

    That is memory for its largest network, or for as many as are trained at once; and room for
    the seeds that every size has, or a search's typical networks.
    """
    found: dict[Place, Need] = {}
    if plan.baseline is not None:
        found["baseline"] = _reckon([settings.model], 1, {}, shape)
    for step, sweep in plan.sweeps.items():
        apart = {plan_swept(step, size): plan.processes for size in sweep.apart}
        models = [plan_swept(step, size) for size in sweep.sizes]
        found[step] = _reckon(models, sweep.seeds, apart, shape)
    if plan.grid is not None:
        levels = list_levels(settings.sweep.vary)
        models = [make_level(settings, 1, level, settings.seed, 1)[0] for level in levels]
        apart = {models[number]: plan.processes for number in plan.grid.apart}
        found["grid"] = _reckon(models, plan.grid.seeds, apart, shape)
    if plan.search is not None:
        trials = plan.search.trials + CONFIRMING + 1
        typical = typical_network(plan.search.width, shape)
        largest = largest_network(plan.search.width, shape)
        found["search"] = Need(
            memory_mb=_reckon([largest], 1, {largest: plan.search.at_once}, shape).memory_mb,
            disk_mb=_reckon([typical], trials, {}, shape).disk_mb,
        )
    return found


def _reckon(
    models: Sequence[NetworkSettings], each: int, apart: Mapping[NetworkSettings, int], shape: Shape
) -> Need:
    """Return the needs of training networks, each so many times.

    Args:
        apart: how many trainings of a network go at once, beside this process; one if missing.
    """
    counts = {model: count_planned(model, shape) for model in models}
    memory, checkpoints = 0, 0
    for model, count in counts.items():
        at_once = apart.get(model, 1)
        beside = TRAINING_BYTES if at_once > 1 else 0
        memory = max(memory, beside + at_once * weigh_training(model, shape))
        checkpoints = max(checkpoints, at_once * CHECKPOINTS * CHECKPOINT_BYTES * count)
    kept = each * sum(KEPT_BYTES * counts[model] + CELL_BYTES for model in models)
    return Need(memory_mb=memory / 1e6, disk_mb=(kept + checkpoints) / 1e6)
