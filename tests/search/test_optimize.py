"""The search: trials that survive kills, fail apart, and are stopped where they are hopeless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tellapart.cells.local import LocalExecutor
from tellapart.config import TrainSettings
from tellapart.errors import DeviceError, Hopeless, NotFinite, TellapartError, WorkspaceError
from tellapart.models import NetworkSettings, Shape, make_model
from tellapart.models.network import AUGMENTS
from tellapart.models.stages import DEEP
from tellapart.records import RunRecord, TrialRecord
from tellapart.search.optimize import Budget, run_search
from tellapart.search.space import (
    GIVEN,
    fit_space,
    split_settings,
)

from .runs import (
    SPACE,
    TRIALS,
    Follow,
    N,
    climb,
    count_kept,
    ignore,
    score,
    search,
    submit_here,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    return search(tmp_path_factory.mktemp("search"))


def test_the_first_trials_are_given_and_the_likeliest_is_first(whole: list[TrialRecord]) -> None:
    models = [trial.settings["model"] for trial in whole[:4]]
    assert models == ["speed", "speed", "stages", "stages"]
    reference = whole[2].settings
    for name in ("stages", "convs", "width", "norm", "dense", "dropout"):
        assert reference[name] == getattr(DEEP, name)
    given = (reference["lr"], reference["augment"], reference["label_smoothing"])
    assert given == (1e-3, "none", 0.0)


def test_augmentations_are_spelled_as_settings_keep_them() -> None:
    assert {trial["augment"] for trial in GIVEN} <= set(AUGMENTS)
    for augment in AUGMENTS:
        assert TrainSettings(augment=augment).augment == augment


def test_trials_are_counted_and_no_two_are_alike(whole: list[TrialRecord]) -> None:
    assert [trial.number for trial in whole] == list(range(1, TRIALS + 1))
    assert {trial.status for trial in whole} == {"done"}
    assert len({repr(trial.settings) for trial in whole}) == TRIALS


def test_a_trial_is_what_the_objective_was_given(tmp_path: Path) -> None:
    given: list[RunRecord] = []
    seen: list[tuple[int, int]] = []

    def note(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        given.append(score(model, recipe))
        return given[-1]

    storage = tmp_path / "trials.json"
    found = run_search(
        SPACE,
        Budget(4),
        submit_here(note),
        storage,
        lambda trial, of: seen.append((trial.number, of)),
    )
    trials, number, best = found.trials, found.best, found.run
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for trial, run in zip(trials, given, strict=True):
        named = dict(trial.settings)
        assert named.pop("model") == run.model
        assert named.items() <= run.settings.items()
        assert (trial.cell, trial.parameters) == (run.cell, run.parameters)
        assert trial.val_score is not None
        assert trial.val_score.n == run.val_score.n
        assert trial.val_score.value == pytest.approx(run.val_score.value, abs=0.501 / N)
        assert run.settings["epochs"] == SPACE.epochs
        assert run.settings["batch_size"] == SPACE.batch_size
        assert isinstance(run.settings["width"], int)
        assert run.settings["width"] <= SPACE.width
    assert best == max(given, key=lambda run: run.val_score.value)
    assert trials[number - 1].cell == best.cell


@pytest.mark.parametrize(
    ("stop_at", "kind"),
    [(0, KeyboardInterrupt), (1, DeviceError), (2, KeyboardInterrupt), (6, DeviceError)],
)
def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    stop_at: int, kind: type[BaseException], whole: list[TrialRecord], tmp_path: Path
) -> None:
    calls = 0

    def stop(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == stop_at + 1:
            raise kind
        return score(model, recipe)

    with pytest.raises(kind):
        search(tmp_path, stop)
    assert search(tmp_path) == whole
    assert count_kept(tmp_path) == TRIALS


KILLED = """
import os, sys
from pathlib import Path
from tests.search.runs import score, search

storage = Path(sys.argv[1])
calls = []

def die(model, recipe, follow):
    calls.append(model)
    return score(model, recipe) if len(calls) < 4 else os._exit(9)

search(storage, die)
"""


def test_a_search_killed_outright_goes_on(whole: list[TrialRecord], tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == 9
    assert count_kept(tmp_path) == 3
    assert search(tmp_path) == whole


@pytest.mark.parametrize("content", ["", "null", "{}", "[1]", '[{"trial": {}}]', "[" * 100_000])
def test_a_damaged_file_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"trials\.json"):
        search(tmp_path)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    def fill(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        (tmp_path / "trials.json").mkdir()
        return score(model, recipe)

    with pytest.raises(WorkspaceError, match=r"trials\.json could not be written .*--out"):
        search(tmp_path, fill)


def test_a_finished_search_is_read_and_longer_ones_begin_with_it(
    whole: list[TrialRecord], tmp_path: Path
) -> None:
    assert search(tmp_path, trials=4) == whole[:4]
    calls: list[NetworkSettings] = []

    def count(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        calls.append(model)
        return score(model, recipe)

    assert search(tmp_path, count, trials=4) == whole[:4]
    assert len(calls) == 1  # the winner's record alone
    assert search(tmp_path) == whole


def test_a_failed_training_is_a_failed_trial_and_no_low_accuracy(tmp_path: Path) -> None:
    def fail(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        if getattr(model, "convs", 0) < 2:
            raise TellapartError("the loss was not finite")
        return score(model, recipe)

    found = run_search(SPACE, Budget(TRIALS), submit_here(fail), tmp_path / "trials.json", ignore)
    trials, number, best = found.trials, found.best, found.run
    failed = [trial for trial in trials if trial.status == "failed"]
    assert trials[2] in failed
    assert len(trials) == TRIALS
    assert all(trial.note == "the loss was not finite" for trial in failed)
    assert all(trial.settings["convs"] == 1 for trial in failed)
    assert best.settings["convs"] == trials[number - 1].settings["convs"] != 1
    assert search(tmp_path, fail) == list(trials)


def test_a_search_without_one_success_fails(tmp_path: Path) -> None:
    def fail(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        raise TellapartError("no luck")

    with pytest.raises(TellapartError, match="all 3 trials of the search failed: no luck"):
        search(tmp_path, fail, trials=3)


@pytest.mark.parametrize(("size", "stages"), [(8, 3), (32, 4), (224, 4), (4, 2), (2, 1), (1, 1)])
def test_stages_fit_the_image(size: int, stages: int) -> None:
    space = fit_space(size, 64, TrainSettings())
    assert space.stages == stages
    assert size >> (space.stages - 1) >= min(2, size)


def test_the_smallest_images_can_be_searched(tmp_path: Path) -> None:
    space = fit_space(2, 64, TrainSettings())
    trials = run_search(
        space, Budget(3), submit_here(score), tmp_path / "trials.json", ignore
    ).trials
    assert {trial.settings["stages"] for trial in trials} == {1}


def test_no_trial_begins_when_the_time_is_over_but_the_first(tmp_path: Path) -> None:
    storage = tmp_path / "trials.json"
    over = Budget(TRIALS, lambda: True)
    assert len(run_search(SPACE, over, submit_here(score), storage, ignore).trials) == 1
    done: list[int] = []
    later = Budget(TRIALS, lambda: len(done) == 2)
    found = run_search(
        SPACE, later, submit_here(score), storage, lambda trial, of: done.append(trial.number)
    )
    assert done == [2, 3]
    again = run_search(SPACE, over, submit_here(score), storage, ignore)
    assert again.trials == found.trials


@pytest.mark.parametrize(("size", "width"), [(32, 16), (64, 24), (2, 16), (4, 64)])
def test_given_trials_fit_every_space(size: int, width: int, tmp_path: Path) -> None:
    space = fit_space(size, width, TrainSettings())
    storage = tmp_path / "trials.json"
    trials = run_search(space, Budget(len(GIVEN) + 2), submit_here(score), storage, ignore).trials
    for trial in trials:
        model, _ = split_settings(trial.settings, space)
        assert getattr(model, "width", 0) <= (
            max(width, DEEP.width) if model.name == "stages" else width
        )
        make_model(model, Shape(3, size, 10))
    assert trials[2].settings["width"] == DEEP.width
    models = {trial.settings["model"] for trial in trials}
    assert ("speed" in models) == (space.stages > 1)


def test_hopeless_trials_are_stopped_and_have_no_accuracy(tmp_path: Path) -> None:
    trials = search(tmp_path, climb, trials=16)
    stopped = [trial for trial in trials if trial.status == "stopped"]
    done = [trial for trial in trials if trial.status == "done"]
    assert stopped and len(done) + len(stopped) == 16
    assert all(trial.number > len(GIVEN) for trial in stopped)
    medians = sorted(trial.val_score.value for trial in done if trial.val_score)
    for trial in stopped:
        assert trial.val_score is None
        assert trial.note.startswith("stopped after epoch 2 at ")
        assert trial.seconds == 2 * 0.25
        model, recipe = split_settings(trial.settings, SPACE)
        assert score(model, recipe).val_score.value < medians[-1]
    assert search(tmp_path, climb, trials=16) == trials


def test_a_search_stopped_in_a_trial_prunes_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", climb, trials=12)
    calls = 0

    def stop(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return climb(model, recipe, follow)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "cut", stop, trials=12)
    assert search(tmp_path / "cut", climb, trials=12) == whole


def test_the_objective_says_itself_that_a_trial_is_hopeless(tmp_path: Path) -> None:
    def give_up(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        if model.name == "speed":
            raise Hopeless("no hope")
        return score(model, recipe)

    trials = search(tmp_path, give_up, trials=4)
    assert [trial.status for trial in trials] == ["stopped", "stopped", "done", "done"]


def test_a_trial_that_fails_late_has_its_seconds_counted(tmp_path: Path) -> None:
    def fail(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        if model.name == "speed":
            error = NotFinite("the loss is not finite")
            error.seconds = 0.5
            raise error
        return climb(model, recipe, follow)

    trials = search(tmp_path, fail, trials=4)
    assert [(t.status, t.seconds) for t in trials if t.status == "failed"] == 2 * [("failed", 0.5)]


def search_in_twos(folder: Path, objective: Any = climb, trials: int = 12) -> list[TrialRecord]:
    budget = Budget(trials, workers=2)
    with LocalExecutor(2) as executor:
        submit = partial(executor.submit, objective)
        found = run_search(SPACE, budget, submit, folder / "trials.json", ignore)
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
from tests.search.test_optimize import KillsDriver, search_in_twos

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


@pytest.mark.slow  # one over a single trial is quick
def test_a_driver_killed_over_two_trials_leaves_none_out_and_none_twice(
    tmp_path: Path,
) -> None:
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path / "killed"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), str(root / "src")))}
    code = [sys.executable, "-c", KILLED_PAIR, str(folder)]
    done = subprocess.run(code, cwd=root, check=False, env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert count_kept(folder) < 12
    assert search_in_twos(folder) == search_in_twos(tmp_path / "whole")
    assert count_kept(folder) == 12


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
    budget = Budget(16, workers=2)
    found = run_search(SPACE, budget, submit_here(climb), folder / "trials.json", watch)
    return list(found.trials)
