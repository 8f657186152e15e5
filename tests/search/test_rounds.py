"""Several trials at once: what is tried does not depend on who ends first, or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tellapart.search.processes import ProcessExecutor

from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings
from tellapart.records import RunRecord, TrialRecord
from tellapart.search.optimize import Budget, run_search

from .searches import SPACE, Follow, climb, ignore, list_states

pytestmark = pytest.mark.filterwarnings(
    "ignore::optuna.exceptions.ExperimentalWarning"  # of the journal that list_states opens
)


def search_in_twos(folder: Path, objective: Any = climb, trials: int = 12) -> list[TrialRecord]:
    budget = Budget(trials, at_once=2)
    with ProcessExecutor(2) as executor:
        journal = folder / "trials.journal"
        found = run_search(SPACE, budget, objective, journal, ignore, executor)
    return list(found.trials)


def test_two_trials_at_once_do_not_depend_on_which_ends_first(tmp_path: Path) -> None:
    pairs = search_in_twos(tmp_path / "several")
    assert search_in_twos(tmp_path / "slow", Slow(tmp_path)) == pairs
    assert [trial.number for trial in pairs] == list(range(1, 13))
    assert len({repr(trial.settings) for trial in pairs}) == 12


@dataclass(frozen=True)
class Slow:
    """Takes longer over every second trial; a process dies over one of them, once."""

    folder: Path

    def __call__(self, model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        calls = len(list(self.folder.glob("call-*")))
        (self.folder / f"call-{calls}-{os.getpid()}").touch()
        time.sleep(0.1 * (calls % 2))
        if calls == 6 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return climb(model, recipe, follow)


KILLED_PAIR = """
import os, sys
from pathlib import Path
from tests.search.test_rounds import KillsDriver, search_in_twos

search_in_twos(Path(sys.argv[1]), KillsDriver(os.getpid(), Path(sys.argv[1])))
"""


@dataclass(frozen=True)
class KillsDriver:
    """Kills the process that asks, in the middle of a trial."""

    driver: int
    folder: Path

    def __call__(self, model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        calls = len(list(self.folder.glob("call-*")))
        (self.folder / f"call-{calls}-{os.getpid()}").touch()
        if calls >= 6:
            os.kill(self.driver, signal.SIGKILL)
            time.sleep(60)
        return climb(model, recipe, follow)


def test_a_driver_killed_over_two_trials_leaves_none_running_and_none_twice(
    tmp_path: Path,
) -> None:
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path / "killed"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(root)}
    code = [sys.executable, "-c", KILLED_PAIR, str(folder)]
    done = subprocess.run(code, cwd=root, check=False, env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert list_states(folder).count("RUNNING") in (1, 2)
    after = search_in_twos(folder)
    assert after == search_in_twos(tmp_path / "whole")
    states = list_states(folder)
    assert "RUNNING" not in states and "WAITING" not in states
    assert states.count("COMPLETE") + states.count("PRUNED") == 12


@pytest.mark.parametrize("told", [5, 6, 7, 8])
def test_a_search_stopped_after_one_of_two_was_told_goes_on_with_the_other(
    told: int, tmp_path: Path
) -> None:
    whole = run_in_twos(tmp_path / "whole")

    def stop(trial: TrialRecord, of: int) -> None:
        if trial.number == told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_twos(tmp_path / "cut", stop)
    assert run_in_twos(tmp_path / "cut") == whole
    assert any(trial.status == "stopped" for trial in whole), "limits had no say"


def run_in_twos(folder: Path, watch: Any = ignore) -> list[TrialRecord]:
    budget = Budget(16, at_once=2)
    found = run_search(SPACE, budget, climb, folder / "trials.journal", watch)
    return list(found.trials)
