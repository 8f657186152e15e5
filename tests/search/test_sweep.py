from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import numpy as np
import pytest
from tellapart.search.executor import InlineExecutor

from tellapart.config import EQUIVALENCE, TrainSettings
from tellapart.errors import Interrupted, NotFinite, SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.models import SimpleSettings
from tellapart.records import RunRecord
from tellapart.search.standing import HOPELESS
from tellapart.search.sweep import Cell, Seeds, check_sizes, run_sweep
from tellapart.search.verdict import judge_sizes

from .runs import N, make_run

ACCURACY = {8: 0.50, 16: 0.60, 64: 0.61}


def run_cell(cell: Cell) -> RunRecord:
    model = SimpleSettings(width=cell.size)
    recipe = TrainSettings(epochs=5 + cell.seed, seed=cell.seed)
    return make_run(model, recipe, ACCURACY[cell.size] + 0.01 * (cell.seed - 1))


def test_every_size_runs_with_every_seed_small_ones_first() -> None:
    asked: list[Cell] = []

    def note(cell: Cell) -> RunRecord:
        asked.append(cell)
        return run_cell(cell)

    sweep = run_sweep([64, 8, 16], Seeds(3, 3), note, InlineExecutor())
    assert asked == [Cell(size, seed) for size in (8, 16, 64) for seed in range(3)]
    assert list(sweep.runs) == [run_cell(cell) for cell in asked]
    assert [size.size for size in sweep.sizes] == [8, 16, 64]
    assert sweep.verdict == judge_sizes(sweep.sizes)
    assert not sweep.left_out


def test_a_size_is_the_mean_over_its_seeds_with_the_spread_of_all() -> None:
    sizes = run_sweep([8, 16, 64], Seeds(3, 3), run_cell, InlineExecutor()).sizes
    spread, freedom = pool_spread([size.seeds for size in sizes])
    assert spread == pytest.approx(0.01)
    assert freedom == 6
    for size in sizes:
        mean = ACCURACY[size.size]
        assert size.seeds == pytest.approx((mean - 0.01, mean, mean + 0.01))
        assert size.val_accuracy == estimate_mean(size.seeds, N, spread, freedom)
        assert size.val_accuracy.value == pytest.approx(mean)
        assert size.parameters == 1000 * size.size
        assert size.seconds == 1.5
        assert size.best_epochs == (5, 6, 7)


def diverge(cells: Collection[Cell]) -> Callable[[Cell], RunRecord]:
    def run(cell: Cell) -> RunRecord:
        if cell in cells:
            raise NotFinite("the loss is not finite")
        return run_cell(cell)

    return run


def test_a_size_has_the_seeds_that_were_finite() -> None:
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), diverge({Cell(16, 1)}), InlineExecutor())
    assert [size.failed for size in sweep.sizes] == [0, 1, 0]
    assert sweep.sizes[1].seeds == pytest.approx((0.59, 0.61))
    assert len(sweep.runs) == 8
    assert sweep.verdict == judge_sizes(sweep.sizes)
    assert not sweep.left_out


def test_a_size_that_failed_altogether_is_left_out() -> None:
    gone = {Cell(64, seed) for seed in range(3)}
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), diverge(gone), InlineExecutor())
    assert [size.size for size in sweep.sizes] == [8, 16]
    assert [(left.size, left.reason) for left in sweep.left_out] == [
        (64, "no training of it was finite")
    ]
    assert sweep.verdict.size == 16


def test_one_size_left_has_no_verdict_and_none_left_is_a_failure() -> None:
    gone = {Cell(size, seed) for size in (8, 64) for seed in range(3)}
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), diverge(gone), InlineExecutor())
    assert (sweep.verdict.kind, sweep.verdict.size) == ("unknown", 16)
    assert "only 16" in sweep.verdict.sentence
    every = gone | {Cell(16, seed) for seed in range(3)}
    with pytest.raises(NotFinite, match="the loss is not finite"):
        run_sweep([8, 16, 64], Seeds(3, 3), diverge(every), InlineExecutor())


def test_a_stop_ends_the_sweep() -> None:
    asked: list[Cell] = []

    def stop(cell: Cell) -> RunRecord:
        asked.append(cell)
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run_sweep([8, 16], Seeds(2, 2), stop, InlineExecutor())
    assert len(asked) == 1


def test_any_other_failure_fails_the_sweep() -> None:
    def fail(cell: Cell) -> RunRecord:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        run_sweep([8, 16], Seeds(1, 1), fail, InlineExecutor())


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([16], "at least two sizes"),
        ([], "at least two sizes"),
        ([16, 8, 16], "must differ"),
        ([0, 8], "at least 1, but got 0"),
    ],
)
def test_sizes_that_make_no_sweep_are_refused(sizes: list[int], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check_sizes(sizes)


def draw(truth: dict[int, float], spread: float, start: int) -> Callable[[Cell], RunRecord]:
    """Return trainings whose accuracy is the truth and chance."""

    def run(cell: Cell) -> RunRecord:
        chance = np.random.default_rng([start, cell.size, cell.seed]).normal(0, spread)
        recipe = TrainSettings(seed=cell.seed)
        return make_run(SimpleSettings(width=cell.size), recipe, truth[cell.size] + chance)

    return run


def test_seeds_are_spent_where_they_decide() -> None:
    truth = {8: 0.40, 16: 0.600, 32: 0.604, 64: 0.602}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.012, 4), InlineExecutor())
    counts = {size.size: len(size.seeds) for size in sweep.sizes}
    assert counts[8] == 3
    decided = {sweep.verdict.size, sweep.verdict.best}
    assert min(counts[size] for size in decided) > 3 and 8 not in decided
    assert sweep.verdict.firm or max(counts.values()) == 10
    assert [run.seed for run in sweep.runs][:3] == [0, 1, 2]


def test_a_firm_verdict_needs_no_more_seeds() -> None:
    truth = {8: 0.4, 16: 0.5, 32: 0.6}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.002, 1), InlineExecutor())
    assert sweep.verdict.firm
    assert {len(size.seeds) for size in sweep.sizes} == {3}


def test_more_seeds_end_where_their_seconds_are_spent() -> None:
    truth = dict.fromkeys((8, 16, 32), 0.6)
    few = run_sweep(
        list(truth), Seeds(2, 10, seconds=2 * 3 * 1.5), draw(truth, 0.02, 0), InlineExecutor()
    )
    assert not few.verdict.firm
    assert {len(size.seeds) for size in few.sizes} == {4}
    none = run_sweep(list(truth), Seeds(2, 10, seconds=0.0), draw(truth, 0.02, 0), InlineExecutor())
    assert {len(size.seeds) for size in none.sizes} == {2}


def test_no_seeds_are_spent_on_what_would_take_hopelessly_many() -> None:
    """One size loses just what counts as none, so that no number of seeds tells of it."""
    truth = {8: 0.60 - EQUIVALENCE, 16: 0.6, 32: 0.6, 64: 0.6}
    spent = Counter[bool]()
    for start in range(60):
        run = draw(truth, 0.004, start)
        first = run_sweep(list(truth), Seeds(3, 3), run, InlineExecutor())
        more = run_sweep(list(truth), Seeds(3, 10), run, InlineExecutor())
        beyond = max(len(size.seeds) for size in more.sizes) > 3
        assert beyond == (len(first.verdict.decisive) > 1)
        spent[beyond] += 1
    assert min(spent[True], spent[False]) >= 10


def test_what_would_take_hopelessly_many_is_seldom_settled_by_ten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of sweeps of many shapes: seeds decide where few are needed, and hardly where many are."""
    monkeypatch.setattr("tellapart.search.standing.HOPELESS", 10**9)
    rng = np.random.default_rng(1)
    firm: dict[bool, list[bool]] = {True: [], False: []}
    for start in range(160):
        steepness, height = rng.uniform(0.2, 1.2), rng.uniform(0.005, 0.08)
        sizes = (16, 32, 64, 128, 256, 512)
        truth = {size: 0.7 - height * np.exp(-steepness * i) for i, size in enumerate(sizes)}
        run = draw(truth, float(rng.choice([0.003, 0.006, 0.012])), start)
        first = run_sweep(sizes, Seeds(3, 3), run, InlineExecutor()).verdict
        if first.firm or 7 < first.more_seeds <= HOPELESS:
            continue
        last = run_sweep(sizes, Seeds(3, 10), run, InlineExecutor()).verdict
        firm[first.more_seeds > HOPELESS].append(last.firm)
    assert min(len(found) for found in firm.values()) >= 15
    assert np.mean(firm[True]) <= 0.2 and np.mean(firm[False]) >= 0.4


def test_a_round_of_seeds_costs_as_long_as_its_longest_training() -> None:
    """Two at once: 1.5 s and 1.5 s take 1.5 s, of which four rounds fit, and not eight."""
    truth = dict.fromkeys((8, 16), 0.6)
    few = run_sweep(
        list(truth),
        Seeds(2, 10, seconds=4 * 1.5, at_once={8: 4, 16: 4}),
        draw(truth, 0.02, 5),
        InlineExecutor(),
    )
    assert {len(size.seeds) for size in few.sizes} == {6}
    more = run_sweep(list(truth), Seeds(2, 10), draw(truth, 0.02, 5), InlineExecutor())
    assert {len(size.seeds) for size in more.sizes} == {10}


@pytest.mark.parametrize("spread", [0.006, 0.012, 0.03])
def test_looking_again_and_again_seldom_finds_what_is_not_there(spread: float) -> None:
    """Seeds are added until the verdict is firm: that must not make chance look like truth."""
    truth = dict.fromkeys((16, 32, 64, 128, 256, 512, 1024), 0.6)
    repeats, wrong = 200, 0
    for start in range(repeats):
        sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, spread, start), InlineExecutor())
        wrong += sweep.verdict.kind in ("ideal", "bigger")
    assert wrong / repeats <= 0.05 + 2 * (0.05 * 0.95 / repeats) ** 0.5
