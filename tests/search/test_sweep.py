from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tellapart.config import EQUIVALENCE, TrainSettings
from tellapart.errors import CellDied, Failure, NotFinite, SettingError
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.models import SimpleSettings
from tellapart.records import RunRecord
from tellapart.search.standing import HOPELESS
from tellapart.search.sweep import Point, Seeds, Train, check_sizes, run_sweep
from tellapart.search.verdict import judge_sizes

from .runs import N, make_run

ACCURACY = {8: 0.50, 16: 0.60, 64: 0.61}


def run_point(point: Point) -> RunRecord:
    size, number = point
    recipe = TrainSettings(epochs=5 + number, seed=number)
    return make_run(SimpleSettings(width=size), recipe, ACCURACY[size] + 0.01 * (number - 1))


def train(points: Sequence[Point]) -> list[RunRecord]:
    return [run_point(point) for point in points]


def test_every_size_has_its_first_seed_before_any_has_its_second() -> None:
    asked: list[Point] = []

    def note(points: Sequence[Point]) -> list[RunRecord]:
        asked.extend(points)
        return train(points)

    sweep = run_sweep([64, 8, 16], Seeds(3, 3), note)
    assert asked == [(size, number) for number in range(3) for size in (8, 16, 64)]
    assert list(sweep.runs) == train(sorted(asked))
    assert [size.size for size in sweep.sizes] == [8, 16, 64]
    assert sweep.verdict == judge_sizes(sweep.sizes)
    assert not sweep.left_out


def test_a_size_is_the_mean_over_its_seeds_with_the_spread_of_all() -> None:
    sizes = run_sweep([8, 16, 64], Seeds(3, 3), train).sizes
    spread, freedom = pool_spread([size.seeds for size in sizes])
    assert spread == pytest.approx(0.01)
    assert freedom == 6
    for size in sizes:
        mean = ACCURACY[size.size]
        assert size.seeds == pytest.approx((mean - 0.01, mean, mean + 0.01))
        assert size.val_score == estimate_mean(size.seeds, N, spread, freedom)
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
    assert sweep.verdict == judge_sizes(sweep.sizes)
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
    assert sweep.verdict.size == 16


def test_one_size_left_has_no_verdict_and_none_left_is_a_failure() -> None:
    gone = {(size, number): INFINITE for size in (8, 64) for number in range(3)}
    sweep = run_sweep([8, 16, 64], Seeds(3, 3), fail(gone))
    assert (sweep.verdict.kind, sweep.verdict.size) == ("unknown", 16)
    assert "only 16" in sweep.verdict.sentence
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
    truth = {8: 0.40, 16: 0.600, 32: 0.604, 64: 0.602}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.012, 4))
    counts = {size.size: len(size.seeds) for size in sweep.sizes}
    assert counts[8] == 3
    decided = {sweep.verdict.size, sweep.verdict.best}
    assert min(counts[size] for size in decided) > 3 and 8 not in decided
    assert sweep.verdict.firm or max(counts.values()) == 10
    assert [run.seed for run in sweep.runs][:3] == [0, 1, 2]


def test_a_firm_verdict_needs_no_more_seeds() -> None:
    truth = {8: 0.4, 16: 0.5, 32: 0.6}
    sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, 0.002, 1))
    assert sweep.verdict.firm
    assert {len(size.seeds) for size in sweep.sizes} == {3}


def spend(seconds: float, workers: int, sizes: Sequence[int]) -> set[int]:
    """Return how many seeds sizes that are equal have, with so many seconds beyond the first."""
    left = seconds

    def train(points: Sequence[Point]) -> Sequence[RunRecord | Failure | None]:
        nonlocal left
        if points[0][1] > 1:
            left -= 1.5 * -(-len(points) // workers)
        return draw(dict.fromkeys(sizes, 0.6), 0.02, 0)(points)

    sweep = run_sweep(sizes, Seeds(2, 10, lambda: left, workers), train)
    assert not sweep.verdict.firm
    return {len(size.seeds) for size in sweep.sizes}


def test_more_seeds_end_where_their_seconds_are_spent() -> None:
    assert spend(2 * 3 * 1.5, 1, (8, 16, 32)) == {4}
    assert spend(0.0, 1, (8, 16, 32)) == {2}


def test_a_round_of_seeds_costs_as_long_as_its_longest_training() -> None:
    """Two sizes by four workers take 1.5 s a round, of which two fit, and not four."""
    assert spend(2 * 1.5, 4, (8, 16)) == {4}


def test_no_seeds_are_spent_on_what_would_take_hopelessly_many() -> None:
    """One size loses just what counts as none, so that no number of seeds tells of it."""
    truth = {8: 0.60 - EQUIVALENCE, 16: 0.6, 32: 0.6, 64: 0.6}
    spent = Counter[bool]()
    for start in range(60):
        run = draw(truth, 0.004, start)
        first = run_sweep(list(truth), Seeds(3, 3), run)
        more = run_sweep(list(truth), Seeds(3, 10), run)
        beyond = max(len(size.seeds) for size in more.sizes) > 3
        assert beyond == (len(first.verdict.decisive) > 1)
        spent[beyond] += 1
    assert min(spent[True], spent[False]) >= 10


@pytest.mark.slow
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
        first = run_sweep(sizes, Seeds(3, 3), run).verdict
        if first.firm or 7 < first.more_seeds <= HOPELESS:
            continue
        last = run_sweep(sizes, Seeds(3, 10), run).verdict
        firm[first.more_seeds > HOPELESS].append(last.firm)
    assert min(len(found) for found in firm.values()) >= 15
    assert np.mean(firm[True]) <= 0.2 and np.mean(firm[False]) >= 0.4


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.006, 0.012, 0.03])
def test_looking_again_and_again_seldom_finds_what_is_not_there(spread: float) -> None:
    """Seeds are added until the verdict is firm: that must not make chance look like truth."""
    truth = dict.fromkeys((16, 32, 64, 128, 256, 512, 1024), 0.6)
    repeats, wrong = 80, 0
    for start in range(repeats):
        sweep = run_sweep(list(truth), Seeds(3, 10), draw(truth, spread, start))
        wrong += sweep.verdict.kind in ("ideal", "bigger")
    assert wrong / repeats <= 0.05 + 2 * (0.05 * 0.95 / repeats) ** 0.5
