"""Settings that vary: no order of levels, several may be the best, the cheapest is said."""

from __future__ import annotations

import numpy as np
import pytest

from tellapart.config import TrainSettings
from tellapart.models import SimpleSettings
from tellapart.records import Level, RunRecord
from tellapart.search.grid import keep_levels, run_grid
from tellapart.search.sweep import Point, Seeds, Train

from .runs import make_run

LEVELS: tuple[Level, ...] = tuple(
    {"augment": augment, "lr": lr} for augment in ("none", "flip") for lr in (0.001, 0.003)
)


def draw(truth: list[float], spread: float, start: int = 0) -> Train:
    """Return trainings whose accuracy is the truth and chance; later levels take longer."""

    def run(point: Point) -> RunRecord:
        level, number = point
        chance = np.random.default_rng([start, level, number]).normal(0, spread)
        run = make_run(SimpleSettings(), TrainSettings(seed=number), truth[level] + chance)
        return run.model_copy(update={"seconds": 1.0 + level})

    return lambda points: [run(point) for point in points]


def test_a_clear_winner_is_named_alone() -> None:
    found = run_grid(LEVELS, Seeds(3, 10), draw([0.5, 0.6, 0.8, 0.55], 0.004))
    verdict = found.verdict
    assert (verdict.best, verdict.take, verdict.tied) == (2, 2, (2,))
    assert verdict.firm
    assert verdict.sentence.startswith("Augment flip with lr 0.001 is best; all others do worse")
    levels = keep_levels(found.sizes, LEVELS)
    assert [level.values for level in levels] == list(LEVELS)
    assert [level.figures.size for level in levels] == [0, 1, 2, 3]


def test_of_those_not_told_apart_the_cheapest_is_taken() -> None:
    found = run_grid(LEVELS, Seeds(3, 3), draw([0.5, 0.797, 0.5, 0.8], 0.004))
    verdict = found.verdict
    assert set(verdict.tied) == {1, 3}
    assert verdict.take == 1  # the third level is dearer
    assert "augment none with lr 0.003 is the cheapest of them" in verdict.sentence


def test_more_seeds_go_to_what_is_open_and_to_nothing_else() -> None:
    truth = [0.5, 0.797, 0.5, 0.8]
    found = run_grid(LEVELS, Seeds(2, 8), draw(truth, 0.015, 5))
    counts = [len(level.seeds) for level in found.sizes]
    assert counts[0] == counts[2] == 2
    assert min(counts[1], counts[3]) > 2


def test_one_seed_cannot_tell() -> None:
    found = run_grid(LEVELS, Seeds(1, 1), draw([0.5, 0.6, 0.8, 0.55], 0.0))
    assert not found.verdict.firm
    assert found.verdict.sentence.startswith("Cannot tell: with one seed")


@pytest.mark.parametrize("spread", [0.006, 0.03])
def test_where_all_are_equal_a_winner_is_seldom_named(spread: float) -> None:
    repeats, wrong = 100, 0
    for start in range(repeats):
        runs = draw([0.6] * 4, spread, start)
        found = run_grid(LEVELS, Seeds(3, 10), runs)
        wrong += len(found.verdict.tied) < len(LEVELS)
    assert wrong / repeats <= 0.05 + 2 * (0.05 * 0.95 / repeats) ** 0.5
