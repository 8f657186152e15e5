"""A sweep: one setting of a network varied, several seeds a size, all else equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tellapart.errors import NotFinite, SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.records import LeftOut, RunRecord, SizeRecord, Verdict
from tellapart.search.executor import Executor
from tellapart.search.verdict import judge_sizes


@dataclass(frozen=True)
class Cell:
    """One training of a sweep."""

    size: int
    seed: int


@dataclass(frozen=True)
class Sweep:
    """What a sweep comes to; ``runs`` are in the order of sizes and seeds."""

    sizes: tuple[SizeRecord, ...]
    verdict: Verdict
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


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
) -> Sweep:
    """Train every size with every seed, and judge what comes out.

    Small sizes run first, so that an early look shows something soon. A training that is not
    finite is counted as failed and the others go on: its size has the other seeds, or is left
    out where it has none.

    Raises:
        NotFinite: no training of any size was finite.
    """
    ordered = check_sizes(sizes)
    futures: dict[tuple[int, int], Future[RunRecord]] = {}
    for size in ordered:
        for seed in range(seeds):
            future = executor.submit(run_cell, Cell(size, seed))
            if future.done() and not isinstance(future.exception(), NotFinite):
                future.result()  # a failure is told now, not after all the others
            futures[size, seed] = future
    runs: dict[int, list[RunRecord]] = {size: [] for size in ordered}
    failures: dict[int, list[NotFinite]] = {size: [] for size in ordered}
    for (size, _), future in futures.items():
        try:
            runs[size].append(future.result())
        except NotFinite as error:
            failures[size].append(error)
    trained = [size for size in ordered if runs[size]]
    if not trained:
        raise failures[ordered[0]][0]
    records = summarize_sizes(
        trained, [runs[size] for size in trained], [len(failures[size]) for size in trained]
    )
    return Sweep(
        sizes=records,
        verdict=judge_sizes(records),
        runs=tuple(run for size in trained for run in runs[size]),
        left_out=tuple(
            LeftOut(size=size, reason="no training of it was finite")
            for size in ordered
            if not runs[size]
        ),
    )


def summarize_sizes(
    sizes: Sequence[int], groups: Sequence[Sequence[RunRecord]], failed: Sequence[int]
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
            failed=missing,
        )
        for size, group, accuracies, missing in zip(sizes, groups, values, failed, strict=True)
    )
