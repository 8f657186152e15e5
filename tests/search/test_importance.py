from __future__ import annotations

from collections.abc import Sequence

import pytest

from tellapart.search.importance import ENOUGH, weigh_settings

optuna = pytest.importorskip("optuna")


def weigh(values: Sequence[float], rates: Sequence[float]) -> dict[str, dict[str, float]]:
    kinds = {
        "model": optuna.distributions.CategoricalDistribution(["simple"]),
        "simple lr": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
    }
    return weigh_settings(
        [
            optuna.trial.create_trial(
                value=value, params={"model": "simple", "simple lr": rate}, distributions=kinds
            )
            for value, rate in zip(values, rates, strict=True)
        ]
    )


RATES = [5e-4 * (1 + place) for place in range(ENOUGH)]


def test_the_one_setting_that_varies_decides_all() -> None:
    assert weigh(RATES, RATES) == {"simple": {"lr": pytest.approx(1.0)}}


def test_equal_accuracies_or_equal_settings_decide_nothing() -> None:
    assert weigh([0.9] * ENOUGH, RATES) == {}
    assert weigh([0.8, 0.9] * (ENOUGH // 2), [1e-3] * ENOUGH) == {}


def test_of_few_trials_or_none_nothing_is_told() -> None:
    assert weigh([0.8, 0.9], RATES[:2]) == {}
    assert weigh([], []) == {}
