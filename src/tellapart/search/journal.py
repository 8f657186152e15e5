"""The journal of a search: Optuna's, in a file that survives kills and full disks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tellapart.errors import WorkspaceError
from tellapart.workspace import write_bytes

if TYPE_CHECKING:
    import optuna

ASKED = "asked"
"""Marks a trial that has all its settings."""


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


@contextmanager
def explain_failure(storage: Path) -> Iterator[None]:
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


def reap_trials(study: optuna.Study) -> None:
    """Fail trials that a dead process left running, and put others with their settings in line.

    Those that have but a part of their settings will be asked for again as they were.
    """
    for trial in study.get_trials(deepcopy=False, states=(name_state("RUNNING"),)):
        study.tell(trial.number, state=name_state("FAIL"))
        if ASKED in trial.user_attrs:
            study.enqueue_trial(trial.params)


def list_ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return finished trials in order: those done, and those with a note of why they are not."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if is_done(trial) or "note" in trial.user_attrs
    ]


def is_done(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state == name_state("COMPLETE")


def name_state(name: str) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return TrialState[name]
