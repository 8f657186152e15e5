"""A sweep: one setting of a network varied, several seeds a size, all else equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tellapart.errors import FAILURES, CellDied, Failure, NotFinite, SettingError
from tellapart.metrics.intervals import average_estimates, pool_spread
from tellapart.records import LeftOut, Ranking, RunRecord, SizeRecord

Point = tuple[int, int]
"""A size, or the number of a level, and the number of a seed."""
Train = Callable[[Sequence[Point]], Sequence[RunRecord | Failure | None]]
"""Trains points, and gives what each came to; None where no time was left for it."""
Judge = Callable[[Sequence[Sequence[RunRecord]]], Ranking]
"""Ranks sizes by the runs that each has."""


@dataclass(frozen=True)
class Seeds:
    """How many seeds a size has: ``first``, and up to ``most`` while they decide something.

    Those beyond the first are trained while ``left`` gives as many seconds as a round of them
    takes, ``workers`` at a time.
    """

    first: int
    most: int
    left: Callable[[], float] = lambda: math.inf
    workers: int = 1


@dataclass(frozen=True)
class Sweep:
    """What a sweep comes to; ``runs`` are in the order of sizes and seeds."""

    sizes: tuple[SizeRecord, ...]
    ranking: Ranking
    runs: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes in rising order; refuse fewer than two, repeats, and any below 1."""
    if len(sizes) < 2:
        raise SettingError(f"a sweep compares at least two sizes, but got {list(sizes)}; add some")
    if len(set(sizes)) < len(sizes):
        raise SettingError(f"a sweep's sizes must differ, but got {list(sizes)}; remove repeats")
    if min(sizes) < 1:
        raise SettingError(f"a size must be at least 1, but got {min(sizes)}")
    return tuple(sorted(sizes))


def run_sweep(sizes: Sequence[int], seeds: Seeds, train: Train, judge: Judge) -> Sweep:
    """Train every size with the first seeds, then those that matter with more.

    Every size has its first seed before any has its second, in the order given. While the ranking
    is not firm, and seeds rather than images are what it lacks, those sizes that it leaves open get
    a seed more each, the same one. A training that is not finite is counted as failed and the
    others go on: its size has the other seeds, or is left out where it has none.

    Raises:
        NotFinite: no training of any size was finite.
    """
    found: dict[Point, RunRecord | Failure] = {}

    def train_all(points: Sequence[Point]) -> None:
        outcomes = zip(points, train(points), strict=True)
        found.update((point, outcome) for point, outcome in outcomes if outcome is not None)

    train_all([(size, number) for number in range(seeds.first) for size in sizes])
    sweep = _conclude(sizes, found, judge)
    for number in range(seeds.first, seeds.most):
        ranking = sweep.ranking
        wanted = [sweep.sizes[place] for place in ranking.open]
        if ranking.limit != "seeds":
            break
        costs = [size.seconds for size in wanted]
        if max(sum(costs) / seeds.workers, *costs) > seeds.left():
            break  # a round ends with its longest
        train_all([(size.size, number) for size in wanted])
        sweep = _conclude(sizes, found, judge)
    return sweep


def _conclude(
    sizes: Sequence[int], found: Mapping[Point, RunRecord | Failure], judge: Judge
) -> Sweep:
    records, groups, failures = summarize_sizes(sizes, found)
    if not records:
        raise next(one for size in sizes for one in failures[size])
    left_out = [size for size in sizes if size not in {record.size for record in records}]
    ranking = judge(groups)
    shifts = zip(records, ranking.candidates, strict=True)  # as compared: without far seeds
    return Sweep(
        sizes=tuple(_shift(record, one.score) for record, one in shifts),
        ranking=ranking,
        runs=tuple(run for runs in groups for run in runs),
        left_out=tuple(LeftOut(size=size, reason=say_failure(failures[size])) for size in left_out),
    )


def _shift(record: SizeRecord, score: float) -> SizeRecord:
    """Return the figures of a size with the mean that it was compared by."""
    own = record.val_score
    by = score - own.value
    low, high = max(0.0, own.low + by), min(1.0, own.high + by)
    moved = own.model_copy(
        update={"value": score, "low": min(low, score), "high": max(high, score)}
    )
    return record.model_copy(update={"val_score": moved})


def summarize_sizes(
    sizes: Sequence[int], found: Mapping[Point, RunRecord | Failure]
) -> tuple[tuple[SizeRecord, ...], list[list[RunRecord]], dict[int, list[Failure]]]:
    """Return the figures of the sizes that were trained, the runs of each, and failures by size.

    The spread over seeds is pooled over all sizes; the order of finishing has no say in it.
    """
    every: dict[int, list[RunRecord]] = {size: [] for size in sizes}
    failures: dict[int, list[Failure]] = {size: [] for size in sizes}
    for (size, _), outcome in sorted(found.items(), key=lambda one: one[0]):
        if isinstance(outcome, FAILURES):
            failures[size].append(outcome)
        else:
            every[size].append(outcome)
    groups = {size: runs for size, runs in every.items() if runs}
    values = {size: [run.val_score.value for run in runs] for size, runs in groups.items()}
    spread, freedom = pool_spread(list(values.values()))
    records = tuple(
        SizeRecord(
            size=size,
            parameters=runs[0].parameters,
            seconds=sum(run.seconds for run in runs) / len(runs),
            threads=runs[0].threads,
            val_score=average_estimates([run.val_score for run in runs], spread, freedom),
            seeds=tuple(values[size]),
            seed_numbers=tuple(run.seed for run in runs),
            best_epochs=tuple(run.best_epoch for run in runs),
            failed=len(failures[size]),
        )
        for size, runs in groups.items()
    )
    return records, list(groups.values()), failures


def say_failure(failures: Sequence[Failure]) -> str:
    """Say why a size has no figures."""
    if not failures:
        return "no time was left"
    if all(isinstance(failure, NotFinite) for failure in failures):
        return "no training of it was finite"
    return str(next(failure for failure in failures if isinstance(failure, CellDied)))
