"""The journal of a search: Optuna's, in a file that survives kills and full disks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tellapart.errors import WorkspaceError
from tellapart.records import TrialRecord
from tellapart.workspace import write_bytes

if TYPE_CHECKING:
    import optuna

ASKED, RECORD = "asked", "record"
"""Attributes of a trial: that it has all its settings, and what came of it."""


def open_journal(storage: Path) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna marks the journal as experimental
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage.parent.mkdir(parents=True, exist_ok=True)
        _drop_half_line(storage)
        storage.with_name(f"{storage.name}.lock").unlink(missing_ok=True)  # of a killed start
        try:
            return optuna.create_study(
                study_name="search",
                storage=JournalStorage(JournalFileBackend(str(storage))),
                direction="maximize",
                load_if_exists=True,
            )
        except OSError:
            raise
        except Exception as error:  # of any kind: Optuna does not check what it reads
            raise WorkspaceError(
                f"{storage} is not the journal of a search ({error!r:.100}); "
                "remove it and start the same command again"
            ) from error


def _drop_half_line(storage: Path) -> None:
    """Cut a journal after its last whole line: a full disk, or a kill, may have left half a one."""
    content = storage.read_bytes() if storage.is_file() else b""
    if content and not content.endswith(b"\n"):
        write_bytes(storage, content[: content.rfind(b"\n") + 1])


def reap_trials(study: optuna.Study) -> None:
    """End trials that a dead process left running, and put those without a record in line again.

    Those that have but a part of their settings will be asked for again as they were.
    """
    for trial in study.get_trials(deepcopy=False, states=(name_state("RUNNING"),)):
        if RECORD in trial.user_attrs:
            end_trial(study, trial.number, read_trial(trial))
            continue
        study.tell(trial.number, state=name_state("FAIL"))
        if ASKED in trial.user_attrs:
            study.enqueue_trial(trial.params)


def end_trial(study: optuna.Study, number: int, record: TrialRecord) -> None:
    """Tell Optuna what came of a trial; ``number`` is its own."""
    if record.val_score is not None:
        study.tell(number, record.val_score.value)
    else:
        study.tell(number, state=name_state("PRUNED" if record.status == "stopped" else "FAIL"))


def list_ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that came to something, in order."""
    return [trial for trial in study.get_trials(deepcopy=False) if RECORD in trial.user_attrs]


def read_trial(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    """Return what came of a trial that ended."""
    return TrialRecord.model_validate(trial.user_attrs[RECORD])


def name_state(name: Literal["FAIL", "PRUNED", "RUNNING", "WAITING"]) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return TrialState[name]
