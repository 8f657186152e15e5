from __future__ import annotations

import numpy as np
import pytest

from tellapart.config import TrainSettings
from tellapart.metrics.intervals import estimate_mean, estimate_proportion, pool_spread
from tellapart.models import SimpleSettings
from tellapart.records import SearchPlan, TrialRecord
from tellapart.search.confirm import (
    TrialCost,
    confirm_winner,
    count_confirming,
    find_frontier,
    find_frontiers,
    fit_winner,
    give_up,
    pass_on,
)

from .runs import N, make_run


def test_the_winner_is_measured_by_seeds_that_chose_nothing() -> None:
    winner = make_run(SimpleSettings(), TrainSettings(), 0.71)
    values = [0.69, 0.70, 0.695]
    again = [make_run(SimpleSettings(), TrainSettings(seed=i + 1), v) for i, v in enumerate(values)]
    found = confirm_winner(winner, again)
    assert found.score == winner.val_accuracy
    assert found.accuracy == estimate_mean(values, N, *pool_spread([values]))
    assert found.luck == pytest.approx(0.71 - 0.695)
    assert found.seeds == tuple(values)


def test_the_luck_of_the_highest_score_is_what_simulation_says() -> None:
    """Of trials that are equal in truth, the best score is too high, the confirmed one is not."""
    rng = np.random.default_rng(6)
    trials, sd, repeats = 16, 0.01, 400
    luck, error = [], []
    for _ in range(repeats):
        best = float(rng.normal(0.6, sd, trials).max())
        fresh = rng.normal(0.6, sd, 3).tolist()
        winner = make_run(SimpleSettings(), TrainSettings(), best)
        again = [make_run(SimpleSettings(), TrainSettings(), value) for value in fresh]
        found = confirm_winner(winner, again)
        luck.append(found.luck)
        error.append(found.accuracy.value - 0.6)
    expected = 1.766 * sd  # the mean of the largest of 16 normal deviates, from a table
    assert np.mean(luck) == pytest.approx(expected, rel=0.1)
    assert abs(np.mean(error)) < 0.001


def make_trial(number: int, accuracy: float | None, parameters: int, seconds: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        status="failed" if accuracy is None else "done",
        cell=f"t{number}",
        settings={},
        parameters=parameters,
        seconds=seconds,
        predict_seconds=seconds / 1000,
        val_accuracy=None if accuracy is None else estimate_proportion(round(accuracy * N), N),
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
        assert trial.val_accuracy is not None
        beaten = any(
            other.val_accuracy is not None
            and other.parameters <= trial.parameters
            and other.val_accuracy.value >= trial.val_accuracy.value
            and (other.parameters, other.val_accuracy.value)
            != (trial.parameters, trial.val_accuracy.value)
            for other in trials
        )
        assert (trial.number in kept) is not beaten


@pytest.mark.parametrize(
    ("at_once", "seconds", "left"),
    [(1, 100.0, 141.0), (2, 100.0, 165.0), (1, 59.0, 100.0), (1, 30.0, 71.0), (1, 1.0, 50.0)],
)
def test_what_the_trials_left_goes_to_the_winner(at_once: int, seconds: float, left: float) -> None:
    """The trials take 59 s, or 35 s two at once; a winner keeps half of its 100 s."""
    plan = SearchPlan(
        trials=6, trial_epochs=3, width=32, epochs=30, seconds=200.0,
        trial_seconds=seconds, winner_seconds=100.0, at_once=at_once,
    )  # fmt: skip
    own = pass_on(plan, TRIALS)
    assert own.winner_seconds == pytest.approx(left)


@pytest.mark.parametrize(
    ("seconds", "cost", "seeds"),
    [
        (68.0, TrialCost(9.0, 9.0), 3),
        (67.0, TrialCost(9.0, 9.0), 2),
        (44.0, TrialCost(9.0, 9.0), 1),
        (1.0, TrialCost(9.0, 9.0), 1),
        (76.0, TrialCost(9.0, 15.0, 2), 3),  # two rounds of 15 s
        (74.0, TrialCost(9.0, 15.0, 2), 2),
    ],
)
def test_fresh_seeds_take_two_fifths_of_a_winners_seconds(
    seconds: float, cost: TrialCost, seeds: int
) -> None:
    plan = SearchPlan(
        trials=6, trial_epochs=3, width=32, epochs=30, seconds=200.0,
        trial_seconds=100.0, winner_seconds=seconds, at_once=cost.at_once,
    )  # fmt: skip
    assert count_confirming(plan, cost) == seeds


@pytest.mark.parametrize(
    ("at_once", "cost", "again", "epochs"),
    [
        (1, TrialCost(9.0, 9.0), [9.0, 9.0, 9.0], 24),
        (1, TrialCost(9.0, 9.0), [17.0, 18.0, 19.0], 7),
        (1, TrialCost(9.0, 9.0), [], 30),
        (1, TrialCost(9.0, 9.0), [60.0], 3),
        (2, TrialCost(9.0, 15.0, 2), [15.0, 15.0], 28),
        (2, TrialCost(9.0, 15.0, 2), [30.0, 30.0], 23),
        (2, TrialCost(9.0, 15.0, 2), [14.0, 15.0, 16.0], 23),
    ],
)
def test_a_winner_has_the_epochs_that_fit_at_the_pace_of_its_fresh_seeds(
    at_once: int, cost: TrialCost, again: list[float], epochs: int
) -> None:
    plan = SearchPlan(
        trials=6, trial_epochs=3, width=32, epochs=30, seconds=200.0,
        trial_seconds=100.0, winner_seconds=100.0, at_once=at_once,
    )  # fmt: skip
    assert fit_winner(plan, cost, again) == epochs
    free = plan.model_copy(update={"winner_seconds": None})
    assert fit_winner(free, cost, again) == plan.epochs


@pytest.mark.parametrize(
    ("late", "trials", "winner"),
    [(0.0, 120.0, 80.0), (50.0, 70.0, 80.0), (100.0, 40.0, 60.0), (1e4, 40.0, 60.0)],
)
def test_a_search_gives_up_what_others_took_trials_first_but_half_of_its_own(
    late: float, trials: float, winner: float
) -> None:
    plan = SearchPlan(
        trials=6, trial_epochs=3, width=32, epochs=30, seconds=200.0,
        trial_seconds=120.0, winner_seconds=80.0,
    )  # fmt: skip
    shorter = give_up(plan, late)
    assert (shorter.trial_seconds, shorter.winner_seconds) == pytest.approx((trials, winner))
    free = plan.model_copy(update={"trial_seconds": None, "winner_seconds": None})
    assert give_up(free, late) == free


def test_without_a_budget_nothing_is_passed_on() -> None:
    plan = SearchPlan(
        trials=6, trial_epochs=3, width=32, epochs=30, seconds=200.0,
        trial_seconds=None, winner_seconds=None,
    )  # fmt: skip
    assert pass_on(plan, TRIALS) == plan
