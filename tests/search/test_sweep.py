from __future__ import annotations

import pytest

from tellapart.config import ModelSettings, TrainSettings
from tellapart.errors import SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.records import RunRecord
from tellapart.search.executor import InlineExecutor
from tellapart.search.sweep import Cell, check_sizes, run_sweep
from tellapart.search.verdict import judge_sizes

from .runs import N, make_run

ACCURACY = {8: 0.50, 16: 0.60, 64: 0.61}


def run_cell(cell: Cell) -> RunRecord:
    model = ModelSettings(width=cell.size)
    recipe = TrainSettings(epochs=5 + cell.seed, seed=cell.seed)
    return make_run(model, recipe, ACCURACY[cell.size] + 0.01 * (cell.seed - 1))


def test_every_size_runs_with_every_seed_small_ones_first() -> None:
    asked: list[Cell] = []

    def note(cell: Cell) -> RunRecord:
        asked.append(cell)
        return run_cell(cell)

    sizes, verdict, runs = run_sweep([64, 8, 16], 3, note, InlineExecutor())
    assert asked == [Cell(size, seed) for size in (8, 16, 64) for seed in range(3)]
    assert list(runs) == [run_cell(cell) for cell in asked]
    assert [size.size for size in sizes] == [8, 16, 64]
    assert verdict == judge_sizes(sizes)


def test_a_size_is_the_mean_over_its_seeds_with_the_spread_of_all() -> None:
    sizes, _, _ = run_sweep([8, 16, 64], 3, run_cell, InlineExecutor())
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


def test_a_failed_cell_fails_the_sweep() -> None:
    def fail(cell: Cell) -> RunRecord:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        run_sweep([8, 16], 1, fail, InlineExecutor())


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
