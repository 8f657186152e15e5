"""A sweep: one setting of a network varied, several seeds a size, all else equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tellapart.errors import SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.records import RunRecord, SizeRecord, Verdict
from tellapart.search.executor import Executor
from tellapart.search.verdict import judge_sizes


@dataclass(frozen=True)
class Cell:
    """One training of a sweep."""

    size: int
    seed: int


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes in rising order.

    Raises:
        SettingError: fewer than two, repeats, or a size below 1.
    """
    if len(sizes) < 2:
        raise SettingError(f"a sweep compares at least two sizes, but got {list(sizes)}; add some")
    if len(set(sizes)) < len(sizes):
        raise SettingError(f"a sweep's sizes must differ, but got {list(sizes)}; remove repeats")
    if min(sizes) < 1:
        raise SettingError(f"a size must be at least 1, but got {min(sizes)}")
    return tuple(sorted(sizes))


def run_sweep(
    sizes: Sequence[int],
    seeds: int,
    run_cell: Callable[[Cell], RunRecord],
    executor: Executor,
) -> tuple[tuple[SizeRecord, ...], Verdict, tuple[RunRecord, ...]]:
    """Train every size with every seed; return sizes, verdict, and all runs in that order.

    Small sizes run first, so that an early look shows something soon.
    """
    ordered = check_sizes(sizes)
    futures: dict[tuple[int, int], Future[RunRecord]] = {}
    for size in ordered:
        for seed in range(seeds):
            future = executor.submit(run_cell, Cell(size, seed))
            if future.done():
                future.result()  # a failure is told now, not after all the others
            futures[size, seed] = future
    runs = {key: future.result() for key, future in futures.items()}
    groups = [[runs[size, seed] for seed in range(seeds)] for size in ordered]
    records = summarize_sizes(ordered, groups)
    return records, judge_sizes(records), tuple(runs.values())


def summarize_sizes(
    sizes: Sequence[int], groups: Sequence[Sequence[RunRecord]]
) -> tuple[SizeRecord, ...]:
    """Return one record a size; the spread over seeds is pooled over all sizes."""
    values = [[run.val_accuracy.value for run in group] for group in groups]
    spread, freedom = pool_spread(values)
    return tuple(
        SizeRecord(
            size=size,
            parameters=group[0].parameters,
            seconds=sum(run.seconds for run in group) / len(group),
            val_accuracy=estimate_mean(accuracies, group[0].val_accuracy.n, spread, freedom),
            seeds=tuple(accuracies),
            best_epochs=tuple(run.best_epoch for run in group),
        )
        for size, group, accuracies in zip(sizes, groups, values, strict=True)
    )
