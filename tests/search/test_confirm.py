from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tellapart.config import TrainSettings
from tellapart.metrics.intervals import average_estimates, estimate_proportion, pool_spread
from tellapart.models import SimpleSettings
from tellapart.records import TrialRecord
from tellapart.search.confirm import confirm_winner, find_frontier, find_frontiers

from .runs import N, make_run


def test_the_winner_is_measured_by_seeds_that_chose_nothing() -> None:
    winner = make_run(SimpleSettings(), TrainSettings(), 0.71)
    values = [0.69, 0.70, 0.695]
    again = [make_run(SimpleSettings(), TrainSettings(seed=i + 1), v) for i, v in enumerate(values)]
    found = confirm_winner(winner, again)
    assert found.score == winner.val_score
    assert found.mean == average_estimates([run.val_score for run in again], *pool_spread([values]))
    assert found.luck == pytest.approx(0.71 - 0.695)
    assert found.seeds == tuple(values)
    low, high = stats.t(2, found.luck, np.std(values, ddof=1) * (1 + 1 / 3) ** 0.5).interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_the_luck_of_the_highest_score_is_what_simulation_says() -> None:
    """Of trials that are equal in truth, the best score is too high, the confirmed one is not."""
    rng = np.random.default_rng(6)
    trials, sd, repeats = 16, 0.01, 400
    luck, error, covered = [], [], []
    for _ in range(repeats):
        best = float(rng.normal(0.6, sd, trials).max())
        fresh = rng.normal(0.6, sd, 3).tolist()
        winner = make_run(SimpleSettings(), TrainSettings(), best)
        again = [make_run(SimpleSettings(), TrainSettings(), value) for value in fresh]
        found = confirm_winner(winner, again)
        luck.append(found.luck)
        error.append(found.mean.value - 0.6)
        covered.append(found.low <= best - 0.6 <= found.high)
    expected = 1.766 * sd  # the mean of the largest of 16 normal deviates, from a table
    assert np.mean(luck) == pytest.approx(expected, rel=0.1)
    assert abs(np.mean(error)) < 0.001
    assert np.mean(covered) >= 0.93


def make_trial(number: int, accuracy: float | None, parameters: int, seconds: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        status="failed" if accuracy is None else "done",
        cell=f"t{number}",
        settings={},
        parameters=parameters,
        seconds=seconds,
        predict_seconds=seconds / 1000,
        val_score=None if accuracy is None else estimate_proportion(round(accuracy * N), N),
        note="",
    )


TRIALS = [
    make_trial(1, 0.60, 100, 9.0),
    make_trial(2, 0.70, 300, 3.0),
    make_trial(3, 0.65, 400, 5.0),
    make_trial(4, None, 10, 1.0),
    make_trial(5, 0.80, 900, 20.0),
    make_trial(6, 0.80, 950, 21.0),
]


def test_a_frontier_holds_what_no_cheaper_trial_beats() -> None:
    assert find_frontier(TRIALS, "parameters") == (1, 2, 5)
    assert find_frontier(TRIALS, "seconds") == (2, 5)
    assert find_frontiers(TRIALS)["predict_seconds"] == (2, 5)
    assert find_frontier([], "seconds") == ()


def test_by_every_pair_no_member_of_a_frontier_is_beaten() -> None:
    rng = np.random.default_rng(1)
    trials = [
        make_trial(i, float(a), int(p), float(s))
        for i, (a, p, s) in enumerate(
            zip(rng.random(40), rng.integers(1, 99, 40), rng.random(40), strict=True)
        )
    ]
    kept = set(find_frontier(trials, "parameters"))
    for trial in trials:
        assert trial.val_score is not None
        beaten = any(
            other.val_score is not None
            and other.parameters <= trial.parameters
            and other.val_score.value >= trial.val_score.value
            and (other.parameters, other.val_score.value)
            != (trial.parameters, trial.val_score.value)
            for other in trials
        )
        assert (trial.number in kept) is not beaten
