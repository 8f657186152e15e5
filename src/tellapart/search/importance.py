"""How much each setting of a search decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

ENOUGH = 12
"""Trials of one kind of network from which the importance of its settings is told."""


def weigh_settings(trials: Sequence[optuna.trial.FrozenTrial]) -> dict[str, dict[str, float]]:
    """Return how much each setting decided of the accuracy, for each kind of network.

    By functional analysis of variance on a forest of random trees (Hutter et al. 2014), for the
    settings that all networks of a kind have; the shares sum to 1. A kind with fewer than
    ``ENOUGH`` finished trials, or whose accuracies or settings are all the same, is left out.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    found: dict[str, dict[str, float]] = {}
    for kind in sorted({str(trial.params["model"]) for trial in trials}):
        own = [trial for trial in trials if trial.params["model"] == kind]
        values, settings = {trial.value for trial in own}, {str(trial.params) for trial in own}
        if len(own) < ENOUGH or len(values) < 2 or len(settings) < 2:
            continue
        study = optuna.create_study(direction="maximize")
        study.add_trials(own)
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        found[kind] = {
            name.rpartition(" ")[2]: share for name, share in shares.items() if name != "model"
        }
    return found
