"""Is it faster to train several networks at once, with one core each?"""

from __future__ import annotations

from tellapart.data.dataset import Dataset, Indices
from tellapart.device import choose_device, count_cores, count_threads, limit_threads
from tellapart.plan import StudySettings, plan_recipe, plan_swept
from tellapart.records import PlanRecord
from tellapart.train.pace import measure_pace

WORTH = 1.2
"""How many times as fast several processes must be."""
LEAST_SECONDS = 60.0
"""Seconds of sweeps below which no process is started: each takes some seconds to begin."""


def choose_processes(
    settings: StudySettings, plan: PlanRecord, dataset: Dataset, rows: Indices
) -> tuple[int, float]:
    """Return how many processes a study's sweeps take, and how many times as fast that is.

    A small network leaves several cores waiting for each other. What the middle size of the first
    sweep takes with one core is measured, and with all; several processes are taken where they are
    ``WORTH`` it. A number that the user named is kept.

    Args:
        rows: training images.
    """
    cores = count_cores()
    count = settings.sweep.processes or cores
    seconds = sum(sweep.seconds for sweep in plan.sweeps.values())
    on_cpu = choose_device(settings.device).type == "cpu"
    if not plan.sweeps or count < 2:
        return 1, 1.0
    if settings.sweep.processes is None and (not on_cpu or seconds < LEAST_SECONDS):
        return 1, 1.0
    step, sweep = next(iter(plan.sweeps.items()))
    model = plan_swept(step, sweep.sizes[len(sweep.sizes) // 2])
    recipe = plan_recipe(settings, step, len(rows), settings.seed, model)
    before, paces = count_threads(), []
    for threads in (1, before):
        limit_threads(threads)
        paces.append(measure_pace(dataset, rows, model, recipe, settings.device))
    gain = min(count, cores) * paces[1] / paces[0]
    if settings.sweep.processes is None and gain < WORTH:
        return 1, 1.0
    return count, gain
