"""How much faster it is to train several networks at once, with one core each."""

from __future__ import annotations

from tellapart.data.dataset import Dataset, Indices
from tellapart.device import choose_device, count_cores, count_threads, limit_threads
from tellapart.plan import StudySettings, plan_recipe, plan_swept
from tellapart.records import PlanRecord
from tellapart.train.pace import measure_pace


def measure_gain(
    settings: StudySettings, plan: PlanRecord, dataset: Dataset, rows: Indices
) -> float:
    """Return how many times as fast the sweeps are in the processes that the user asked for.

    What the middle size of the first sweep takes with one core is measured, and with all. Large
    networks, which fill the memory or its bus, gain less. 1 for one process, and off the CPU.

    Args:
        rows: training images.
    """
    count = min(settings.sweep.processes, count_cores())
    if not plan.sweeps or count < 2 or choose_device(settings.device).type != "cpu":
        return 1.0
    step, sweep = next(iter(plan.sweeps.items()))
    model = plan_swept(step, sweep.sizes[len(sweep.sizes) // 2])
    recipe = plan_recipe(settings, step, len(rows), settings.seed, model)
    before, paces = count_threads(), []
    for threads in (1, before):
        limit_threads(threads)
        paces.append(measure_pace(dataset, rows, model, recipe, settings.device))
    return count * paces[1] / paces[0]
