"""A sweep: one setting of a network varied, several seeds a size, all else equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from tellapart.config import EQUIVALENCE
from tellapart.errors import CellDied, NotFinite, SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.records import LeftOut, RunRecord, SizeRecord, Verdict
from tellapart.search.executor import Executor
from tellapart.search.verdict import judge_sizes

Work = TypeVar("Work")
Failure = NotFinite | CellDied
FAILURES = (NotFinite, CellDied)
"""What a cell may end in without ending the work of the others."""


@dataclass(frozen=True)
class Cell:
    """One training of a sweep."""

    size: int
    seed: int


@dataclass(frozen=True)
class Seeds:
    """How many seeds a size has: ``first``, and up to ``most`` while they decide something.

    What goes beyond the first ones may take ``seconds``; None sets no limit. ``at_once`` has the
    sizes of which several networks are trained at once, and how many.
    """

    first: int
    most: int
    seconds: float | None = None
    at_once: Mapping[int, int] = field(default_factory=dict)


class Judgement(Protocol):
    """What decides whether more seeds are spent, and on which sizes."""

    @property
    def decisive(self) -> tuple[int, ...]: ...

    @property
    def firm(self) -> bool: ...


JudgementT = TypeVar("JudgementT", bound=Judgement)
Judge = Callable[[Sequence[SizeRecord]], JudgementT]


@dataclass(frozen=True)
class Sweep(Generic[JudgementT]):
    """What a sweep comes to; ``runs`` are in the order of sizes and seeds."""

    sizes: tuple[SizeRecord, ...]
    verdict: JudgementT
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
    seeds: Seeds,
    run_cell: Callable[[Cell], RunRecord],
    executor: Executor,
    equivalence: float = EQUIVALENCE,
) -> Sweep[Verdict]:
    """Train every size with the first seeds, then those that matter with more.

    Small sizes run first, so that an early look shows something soon. While no verdict is firm, the
    sizes that it hangs on get a seed more each, the same one: the best, the one taken or smaller
    ones of which chance leaves open whether they are large enough, and larger ones that may gain
    still; or where no size can be named yet, those that are neither told from the best nor shown to
    be as good. Clear losers get none, nor does any size where it would take hopelessly many. A
    training that is not finite is counted as failed and the others go on: its size has the other
    seeds, or is left out where it has none.

    Args:
        equivalence: differences of accuracy up to this count as none.

    Raises:
        NotFinite: no training of any size was finite.
    """
    return spend_seeds(
        check_sizes(sizes), seeds, run_cell, executor, partial(judge_sizes, equivalence=equivalence)
    )


def spend_seeds(
    sizes: Sequence[int],
    seeds: Seeds,
    run_cell: Callable[[Cell], RunRecord],
    executor: Executor,
    judge: Judge[JudgementT],
) -> Sweep[JudgementT]:
    """Do as `run_sweep` does, for whatever ``judge`` makes of the sizes.

    Raises:
        NotFinite: no training of any size was finite.
    """
    found: dict[Cell, RunRecord | Failure] = {}

    def run_all(some: Sequence[int], numbers: Sequence[int]) -> None:
        cells = [Cell(size, number) for size in some for number in numbers]
        found.update(zip(cells, run_cells(cells, run_cell, executor), strict=True))

    run_all(sizes, range(seeds.first))
    sweep = _conclude(sizes, found, judge)
    spent = 0.0
    for number in range(seeds.first, seeds.most):
        wanted = [size for size in sweep.sizes if size.size in sweep.verdict.decisive]
        if sweep.verdict.firm or len(sweep.sizes) < 2 or not wanted:
            break
        costs = sum(size.seconds / seeds.at_once.get(size.size, 1) for size in wanted)
        costs = max(costs, *(size.seconds for size in wanted))  # a round ends with its longest
        if seeds.seconds is not None and spent + costs > seeds.seconds:
            break
        run_all([size.size for size in wanted], [number])
        spent += costs
        sweep = _conclude(sizes, found, judge)
    return sweep


def run_cells(
    cells: Sequence[Work], run_cell: Callable[[Work], RunRecord], executor: Executor
) -> list[RunRecord | Failure]:
    """Train cells, and return their records in the order of the cells.

    A training that is not finite, or whose process died twice, gives its error instead; any other
    failure is raised.
    """
    futures: list[Future[RunRecord]] = []
    for cell in cells:
        future = executor.submit(run_cell, cell)
        if future.done() and not isinstance(future.exception(), FAILURES):
            future.result()  # a failure is told now, not after all the others
        futures.append(future)
    found: list[RunRecord | Failure] = []
    for future in futures:
        try:
            found.append(future.result())
        except FAILURES as error:
            found.append(error)
    return found


def _conclude(
    sizes: Sequence[int], found: Mapping[Cell, RunRecord | Failure], judge: Judge[JudgementT]
) -> Sweep[JudgementT]:
    """Judge what was found so far; the order of finishing has no say in it."""
    runs: dict[int, list[RunRecord]] = {size: [] for size in sizes}
    failures: dict[int, list[Failure]] = {size: [] for size in sizes}
    for cell in sorted(found, key=lambda cell: (cell.size, cell.seed)):
        outcome = found[cell]
        if isinstance(outcome, FAILURES):
            failures[cell.size].append(outcome)
        else:
            runs[cell.size].append(outcome)
    trained = [size for size in sizes if runs[size]]
    if not trained:
        raise failures[sizes[0]][0]
    records = summarize_sizes(
        trained, [runs[size] for size in trained], [len(failures[size]) for size in trained]
    )
    return Sweep(
        sizes=records,
        verdict=judge(records),
        runs=tuple(run for size in trained for run in runs[size]),
        left_out=tuple(
            LeftOut(size=size, reason=say_failure(failures[size]))
            for size in sizes
            if not runs[size]
        ),
    )


def say_failure(failures: Sequence[Failure]) -> str:
    """Say why a size has no figures.

    >>> say_failure([NotFinite("the loss is not finite")])
    'no training of it was finite'
    """
    if all(isinstance(failure, NotFinite) for failure in failures):
        return "no training of it was finite"
    return str(next(failure for failure in failures if isinstance(failure, CellDied)))


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
            threads=group[0].threads,
            val_accuracy=estimate_mean(accuracies, group[0].val_accuracy.n, spread, freedom),
            seeds=tuple(accuracies),
            seed_numbers=tuple(run.seed for run in group),
            best_epochs=tuple(run.best_epoch for run in group),
            failed=missing,
        )
        for size, group, accuracies, missing in zip(sizes, groups, values, failed, strict=True)
    )
