from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pytest

from tellapart.config import TrainSettings
from tellapart.errors import CellDied, Failure, NotFinite, SettingError
from tellapart.metrics.intervals import average_estimates, estimate_proportion, pool_spread
from tellapart.metrics.ranking import Images, rank_candidates
from tellapart.models import SimpleSettings
from tellapart.records import Ranking, RunRecord
from tellapart.search.sweep import Point, Seeds, Train, check_sizes
from tellapart.search.sweep import run_sweep as run

from .runs import N, make_run

ACCURACY = {8: 0.50, 16: 0.60, 64: 0.61}


def run_point(point: Point) -> RunRecord:
    size, number = point
    recipe = TrainSettings(epochs=5 + number, seed=number)
    return make_run(SimpleSettings(width=size), recipe, ACCURACY[size] + 0.01 * (number - 1))


def judge(groups: Sequence[Sequence[RunRecord]]) -> Ranking:
    """Rank runs that are right on the first of ``N`` images, as many as their accuracy says."""
    images = Images(np.zeros(N, np.int64), 2)
    predicted = [
        {run.seed: (np.arange(N) >= run.val_score.value * N).astype(np.int64) for run in runs}
        for runs in groups
    ]
    return rank_candidates(images, predicted)


run_sweep = partial(run, judge=judge)


def train(points: Sequence[Point]) -> list[RunRecord]:
    return [run_point(point) for point in points]


def test_every_size_has_its_first_seed_before_any_has_its_second() -> None:
    asked: list[Point] = []

    def note(points: Sequence[Point]) -> list[RunRecord]:
        asked.extend(points)
        return train(points)

    sweep = run_sweep([8, 16, 64], Seeds(3, 3), note)
    assert asked == [(size, number) for number in range(3) for size in (8, 16, 64)]
    assert list(sweep.runs) == train(sorted(asked))
    assert [size.size for size in sweep.sizes] == [8, 16, 64]
    assert sweep.ranking == judge([train([(size, n) for n in range(3)]) for size in (8, 16, 64)])
    assert not sweep.left_out


def test_a_size_is_the_mean_over_its_seeds_with_the_spread_of_all() -> None:
    sizes = run_sweep([8, 16, 64], Seeds(3, 3), train).sizes
    spread, freedom = pool_spread([size.seeds for size in sizes])
    assert spread == pytest.approx(0.01)
    assert freedom == 6
    for size in sizes:
        mean = ACCURACY[size.size]
        assert size.seeds == pytest.approx((mean - 0.01, mean, mean + 0.01))
        parts = [estimate_proportion(round(value * N), N) for value in size.seeds]
        own = average_estimates(parts, spread, freedom)
        assert (size.val_score.low, size.val_score.high) == pytest.approx((own.low, own.high))
        assert size.val_score.value == pytest.approx(mean)
        assert size.parameters == 1000 * size.size
        assert size.seconds == 1.5
        assert size.best_epochs == (5, 6, 7)


def fail(failures: Mapping[Point, Failure | None]) -> Train:
    """Return trainings of which some fail, or are left out for lack of time (None)."""
    return lambda points: [
        failures[point] if point in failures else run_point(point) for point in points
    ]


INFINITE, DEAD = NotFinite("the loss is not finite"), CellDied("its process died")


@pytest.mark.parametrize(
    ("failure", "failed"), [(INFINITE, [0, 1, 0]), (DEAD, [0, 1, 0]), (None, [0, 0, 0])]
)
def test_a_size_has_the_seeds_that_came_to_something(
    failure: Failure | None, failed: list[int]
) -> None:
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), fail({(16, 1): failure}))
    assert [size.failed for size in sweep.sizes] == failed
    assert sweep.sizes[1].seeds == pytest.approx((0.59, 0.61))
    assert sweep.sizes[1].seed_numbers == (0, 2)
    assert len(sweep.runs) == 8
    assert sweep.ranking.taken in (1, 2)
    assert not sweep.left_out


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (INFINITE, "no training of it was finite"),
        (DEAD, "its process died"),
        (None, "no time was left"),
    ],
)
def test_a_size_that_came_to_nothing_is_left_out(failure: Failure | None, reason: str) -> None:
    gone = {(64, number): failure for number in range(3)}
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), fail(gone))
    assert [size.size for size in sweep.sizes] == [8, 16]
    assert [(left.size, left.reason) for left in sweep.left_out] == [(64, reason)]
    assert sweep.ranking.taken == 1 and len(sweep.ranking.candidates) == 2


def test_one_size_left_is_taken_and_none_left_is_a_failure() -> None:
    gone = {(size, number): INFINITE for size in (8, 64) for number in range(3)}
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), fail(gone))
    assert [size.size for size in sweep.sizes] == [16]
    assert (sweep.ranking.taken, sweep.ranking.candidates[0].high) == (0, 0.0)
    with pytest.raises(NotFinite, match="the loss is not finite"):
        run_sweep([8, 64], Seeds(3, 3), fail(gone))


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


def draw(truth: Mapping[int, float], spread: float, start: int) -> Train:
    """Return trainings whose accuracy is the truth and chance."""

    def run(point: Point) -> RunRecord:
        size, number = point
        chance = np.random.default_rng([start, size, number]).normal(0, spread)
        recipe = TrainSettings(seed=number)
        return make_run(SimpleSettings(width=size), recipe, truth[size] + chance)

    return lambda points: [run(point) for point in points]


def test_seeds_are_spent_where_they_decide() -> None:
    truth = {8: 0.40, 16: 0.600, 32: 0.612, 64: 0.613}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.012, 4))
    counts = {size.size: len(size.seeds) for size in sweep.sizes}
    assert counts[8] == 3
    assert max(counts.values()) > 3
    assert sweep.ranking.limit != "seeds" or max(counts.values()) == 10
    assert [run.seed for run in sweep.runs][:3] == [0, 1, 2]


def test_a_firm_choice_needs_no_more_seeds() -> None:
    truth = {8: 0.4, 16: 0.5, 32: 0.6}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.002, 1))
    assert sweep.ranking.firm and sweep.ranking.limit == ""
    assert {len(size.seeds) for size in sweep.sizes} == {3}


def test_a_seed_far_off_is_in_no_mean() -> None:
    """The size has the score that it was compared by; the seed itself is still shown."""

    def diverge(points: Sequence[Point]) -> list[RunRecord]:
        runs = draw({8: 0.5, 16: 0.6, 64: 0.61}, 0.004, 2)(points)
        found = []
        for point, one in zip(points, runs, strict=True):
            assert isinstance(one, RunRecord)
            low = make_run(SimpleSettings(width=16), TrainSettings(seed=0), 0.1)
            found.append(low if point == (16, 0) else one)
        return found

    sweep = run_sweep([8, 16, 64], Seeds(3, 3), diverge)
    assert [(one.place, one.seed) for one in sweep.ranking.far] == [(1, 0)]
    assert sweep.sizes[1].val_score.value == sweep.ranking.candidates[1].score
    assert sweep.sizes[1].val_score.value == pytest.approx(0.6, abs=0.01)
    assert min(sweep.sizes[1].seeds) == 0.1


def spend(seconds: float, workers: int, sizes: Sequence[int]) -> set[int]:
    """Return how many seeds sizes that are equal have, with so many seconds beyond the first."""
    left = seconds

    def train(points: Sequence[Point]) -> Sequence[RunRecord | Failure | None]:
        nonlocal left
        if points[0][1] > 1:
            left -= 1.5 * -(-len(points) // workers)
        return draw(dict.fromkeys(sizes, 0.6), 0.03, 0)(points)

    sweep = run_sweep(sizes, Seeds(2, 10, lambda: left, workers), train)
    assert sweep.ranking.limit == "seeds"
    return {len(size.seeds) for size in sweep.sizes}


def test_more_seeds_end_where_their_seconds_are_spent() -> None:
    assert spend(2 * 3 * 1.5, 1, (8, 16, 32)) == {4}
    assert spend(0.0, 1, (8, 16, 32)) == {2}


def test_a_round_of_seeds_costs_as_long_as_its_longest_training() -> None:
    """Two sizes by four workers take 1.5 s a round, of which two fit, and not four."""
    assert spend(2 * 1.5, 4, (8, 16)) == {4}
