"""Searches whose trials score by a formula, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings, Space
from tellapart.records import EpochRow, RunRecord, TrialRecord
from tellapart.search.optimize import Budget, run_search

from .runs import make_run

Follow = Callable[[EpochRow], None]
SPACE = Space(stages=3, width=64, epochs=5, batch_size=64, seed=2)
TRIALS = 7


def score(model: NetworkSettings, recipe: TrainSettings, follow: Follow | None = None) -> RunRecord:
    """Wide, normalised networks with a rate near 0.003 are best; no two score alike."""
    sizes = {"norm": False} | model.model_dump()
    accuracy = 0.5 + 0.1 * sizes["norm"] + sizes["width"] / 640 - abs(recipe.lr - 3e-3)
    return make_run(model, recipe, accuracy - 0.01 * recipe.weight_decay - 0.001 * sizes["convs"])


def ignore(trial: TrialRecord, of: int) -> None:
    pass


def search(
    folder: Path, objective: Any = score, trials: int = TRIALS, seconds: float | None = None
) -> list[TrialRecord]:
    journal = folder / "trials.journal"
    return list(run_search(SPACE, Budget(trials, seconds), objective, journal, ignore).trials)


def list_states(folder: Path) -> list[str]:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    study = optuna.load_study(study_name="search", storage=storage)
    return [trial.state.name for trial in study.trials]


def climb(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
    """Train for real epochs: accuracy climbs in a straight line to what `score` gives."""
    run = score(model, recipe)
    rows = []
    for epoch in range(1, recipe.epochs + 1):
        accuracy = run.val_accuracy.value * epoch / recipe.epochs
        row = EpochRow(
            epoch=epoch,
            seconds=0.25,
            lr=recipe.lr,
            loss=1.0,
            accuracy=accuracy,
            val_loss=1.0,
            val_accuracy=accuracy,
            val_score=accuracy,
        )
        rows.append(row)
        follow(row)
    return run.model_copy(update={"history": tuple(rows)})
