"""The search for the best network from scratch: Optuna asks, a function trains and answers.

Trials live in a journal file, which survives kills. What a trial tries is a function of the
seed, its number and the finished trials before it, so a search that was killed goes on as if it
had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tellapart.config import ModelSettings, TrainSettings
from tellapart.errors import Hopeless, TellapartError, WorkspaceError
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import EpochRow, Estimate, RunRecord, TrialRecord
from tellapart.search.space import (
    GIVEN,
    Space,
    fit_given,
    name_settings,
    split_settings,
    suggest_settings,
)
from tellapart.workspace import write_bytes

if TYPE_CHECKING:
    import optuna

Follow = Callable[[EpochRow], None]
Objective = Callable[[ModelSettings, TrainSettings, Follow], RunRecord]
"""Trains; calls its last argument after each epoch, which may raise `Hopeless` to stop it."""
Watch = Callable[[TrialRecord, int], None]

ENOUGH = 12
"""Trials of one kind of network from which the importance of its settings is told."""


@dataclass(frozen=True)
class Budget:
    """How many trials; none begins once ``seconds`` of training are spent, the given ones aside."""

    trials: int
    seconds: float | None = None


@dataclass(frozen=True)
class Search:
    """What a search comes to: its trials, the number of the best one, and that one's run.

    ``importances`` are those of settings, by kind of network.
    """

    trials: tuple[TrialRecord, ...]
    best: int
    run: RunRecord
    importances: dict[str, dict[str, float]]


def run_search(
    space: Space, budget: Budget, objective: Objective, storage: Path, watch: Watch
) -> Search:
    """Run the trials that the budget allows.

    Trials in the journal count. No other process may be at work on it.

    A trial whose training fails is recorded as failed, never as a low accuracy. One that at some
    epoch is below the median of those before it at the same epoch is stopped, the given ones
    aside. A trial that a kill left unfinished is tried again with the same settings.

    Raises:
        TellapartError: every trial failed.
        WorkspaceError: the journal cannot be written.
    """
    with _explain_failure(storage):
        study = _open_study(storage)
        _reap(study)
    runs: dict[int, RunRecord] = {}
    while (number := len(_ended(study))) < budget.trials and not _is_spent(study, budget):
        with _explain_failure(storage):
            trial = _ask(study, space, number)
            settings = suggest_settings(trial, space)
        model, recipe = split_settings(settings, space)
        follow = _follow(trial, storage, space.epochs if number >= len(GIVEN) else 0)
        try:
            run = objective(model, recipe, follow)
        except TellapartError as error:
            if error.exit_code != 1:
                raise
            stopped = isinstance(error, Hopeless)
            with _explain_failure(storage):
                trial.set_user_attr("note", str(error))
                study.tell(trial, state=_state("PRUNED" if stopped else "FAIL"))
        else:
            runs[trial.number] = run
            with _explain_failure(storage):
                for name, value in _describe(run).items():
                    trial.set_user_attr(name, value)
                study.tell(trial, run.val_accuracy.value)
        watch(_record(_ended(study)[-1], number + 1), budget.trials)
    ended = _ended(study)[: budget.trials]
    records = tuple(_record(trial, number + 1) for number, trial in enumerate(ended))
    done = [trial for trial in ended if _is_done(trial)]
    if not done:
        raise TellapartError(f"all {len(records)} trials of the search failed: {records[0].note}")
    winner = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
    model, recipe = split_settings(name_settings(winner.params), space)
    run = runs.get(winner.number) or objective(model, recipe, _ignore)
    return Search(records, ended.index(winner) + 1, run, weigh_settings(done))


def _ignore(row: EpochRow) -> None:
    """Stop nothing."""


def _follow(trial: optuna.Trial, storage: Path, before: int) -> Follow:
    """Return a function that keeps each epoch's accuracy, and stops a trial that is hopeless.

    Args:
        before: the epoch from which on a trial is not stopped: at its last one nothing is saved.
    """
    spent = 0.0

    def follow(row: EpochRow) -> None:
        nonlocal spent
        spent += row.seconds
        with _explain_failure(storage):
            trial.report(row.val_accuracy, row.epoch)
            if row.epoch >= before or not trial.should_prune():
                return
            trial.set_user_attr("seconds", spent)
        raise Hopeless(
            f"stopped after epoch {row.epoch} at {100 * row.val_accuracy:.1f} %, "
            "below half of the trials before it"
        )

    return follow


def weigh_settings(
    trials: Sequence[optuna.trial.FrozenTrial],
) -> dict[str, dict[str, float]]:
    """Return how much each setting decided of the accuracy, for each kind of network.

    By functional analysis of variance on a forest of random trees (Hutter et al. 2014), for the
    settings that all networks of a kind have; the shares sum to 1. A kind with fewer than
    ``ENOUGH`` finished trials is left out.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    found: dict[str, dict[str, float]] = {}
    for kind in sorted({str(trial.params["model"]) for trial in trials}):
        own = [trial for trial in trials if trial.params["model"] == kind]
        if len(own) < ENOUGH or len({trial.value for trial in own}) < 2:
            continue
        study = optuna.create_study(direction="maximize")
        study.add_trials(own)
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        found[kind] = {
            name.rpartition(" ")[2]: share for name, share in shares.items() if name != "model"
        }
    return found


def _is_spent(study: optuna.Study, budget: Budget) -> bool:
    ended = _ended(study)
    spent = sum(trial.user_attrs.get("seconds", 0.0) for trial in ended)
    return budget.seconds is not None and len(ended) >= len(GIVEN) and spent >= budget.seconds


def _make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=(1000 * seed + number) % 2**32, n_startup_trials=4)


def _open_study(storage: Path) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna marks the journal as experimental
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage.parent.mkdir(parents=True, exist_ok=True)
        _drop_half_line(storage)
        storage.with_name(f"{storage.name}.lock").unlink(missing_ok=True)  # of a killed start
        return optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(storage))),
            direction="maximize",
            load_if_exists=True,
        )


@contextmanager
def _explain_failure(storage: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"{storage} could not be written ({error.strerror or error}); "
            "free space or choose another folder with --out"
        ) from error


def _drop_half_line(storage: Path) -> None:
    """Cut a journal after its last whole line: a full disk, or a kill, may have left half a one."""
    content = storage.read_bytes() if storage.is_file() else b""
    if content and not content.endswith(b"\n"):
        write_bytes(storage, content[: content.rfind(b"\n") + 1])


def _reap(study: optuna.Study) -> None:
    """Fail trials that a dead process left running; the next of their number is as they were."""
    for trial in study.get_trials(deepcopy=False, states=(_state("RUNNING"),)):
        study.tell(trial.number, state=_state("FAIL"))


def _ask(study: optuna.Study, space: Space, number: int) -> optuna.Trial:
    """Ask for the trial after ``number`` ended ones; the first are given."""
    study.sampler = _make_sampler(space.seed, number)
    waiting = study.get_trials(deepcopy=False, states=(_state("WAITING"),))
    from optuna.pruners import MedianPruner

    warm_up = -(-space.epochs // 3)  # epochs
    study.pruner = MedianPruner(n_startup_trials=len(GIVEN), n_warmup_steps=warm_up)
    if number < len(GIVEN) and not waiting:
        study.enqueue_trial(fit_given(GIVEN[number], space))
    return study.ask()


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return finished trials in order: those done, and those with a note of why they are not."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if _is_done(trial) or "note" in trial.user_attrs
    ]


def _is_done(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state == _state("COMPLETE")


def _state(name: str) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return TrialState[name]


def _describe(run: RunRecord) -> dict[str, Any]:
    return {
        "cell": run.cell,
        "parameters": run.parameters,
        "seconds": run.seconds,
        "predict_seconds": run.predict_seconds,
        "n": run.val_accuracy.n,
    }


def _estimate(trial: optuna.trial.FrozenTrial) -> Estimate | None:
    if not _is_done(trial) or trial.value is None:
        return None
    n = int(trial.user_attrs["n"])
    return estimate_proportion(round(trial.value * n), n)


def _record(trial: optuna.trial.FrozenTrial, number: int) -> TrialRecord:
    found = trial.user_attrs
    status: Literal["done", "failed", "stopped"] = "done"
    if not _is_done(trial):
        status = "stopped" if trial.state == _state("PRUNED") else "failed"
    return TrialRecord(
        number=number,
        status=status,
        cell=found.get("cell", ""),
        settings=name_settings(trial.params),
        parameters=found.get("parameters", 0),
        seconds=found.get("seconds", 0.0),
        predict_seconds=found.get("predict_seconds", 0.0),
        val_accuracy=_estimate(trial),
        note=found.get("note", ""),
    )
