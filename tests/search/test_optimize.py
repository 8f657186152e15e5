"""The search: trials that survive kills, fail apart, and are stopped where they are hopeless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tellapart.config import TrainSettings
from tellapart.errors import DeviceError, Hopeless, NotFinite, TellapartError, WorkspaceError
from tellapart.models import NetworkSettings, Shape, make_model
from tellapart.models.stages import DEEP
from tellapart.models.network import AUGMENTS
from tellapart.records import RunRecord, TrialRecord
from tellapart.search.importance import ENOUGH
from tellapart.search.optimize import Budget, run_search
from tellapart.search.space import (
    GIVEN,
    NOTEBOOK_TRIAL,
    fit_space,
    split_settings,
)

from .runs import N, make_run
from .searches import SPACE, TRIALS, Follow, climb, ignore, list_states, score, search

pytestmark = pytest.mark.filterwarnings(
    "ignore::optuna.exceptions.ExperimentalWarning"  # of the journal that list_states opens
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    return search(tmp_path_factory.mktemp("search"))


def test_the_first_trial_is_the_reference_studys_network(whole: list[TrialRecord]) -> None:
    first = whole[0].settings
    for name in ("stages", "convs", "width", "norm", "dense", "dropout"):
        assert first[name] == getattr(DEEP, name)
    assert (first["lr"], first["augment"], first["label_smoothing"]) == (1e-3, "none", 0.0)


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

    journal = tmp_path / "trials.journal"
    found = run_search(
        SPACE, Budget(4), note, journal, lambda trial, of: seen.append((trial.number, of))
    )
    trials, number, best = found.trials, found.best, found.run
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for trial, run in zip(trials, given, strict=True):
        named = dict(trial.settings)
        assert named.pop("model") == run.model
        assert named.items() <= run.settings.items()
        assert (trial.cell, trial.parameters) == (run.cell, run.parameters)
        assert trial.val_accuracy is not None
        assert trial.val_accuracy.n == run.val_accuracy.n
        assert trial.val_accuracy.value == pytest.approx(run.val_accuracy.value, abs=0.501 / N)
        assert run.settings["epochs"] == SPACE.epochs
        assert run.settings["batch_size"] == SPACE.batch_size
        assert isinstance(run.settings["width"], int)
        assert run.settings["width"] <= SPACE.width
    assert best == max(given, key=lambda run: run.val_accuracy.value)
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
    states = list_states(tmp_path)
    assert states.count("COMPLETE") == TRIALS
    assert set(states) <= {"COMPLETE", "FAIL"}


KILLED = """
import os, sys
from pathlib import Path
from tests.search.searches import score, search

journal = Path(sys.argv[1])
calls = []

def die(model, recipe, follow):
    calls.append(model)
    return score(model, recipe) if len(calls) < 4 else os._exit(9)

search(journal, die)
"""


def test_a_search_killed_outright_goes_on(whole: list[TrialRecord], tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == 9
    assert list_states(tmp_path) == ["COMPLETE"] * 3 + ["RUNNING"]
    assert search(tmp_path) == whole


def test_half_a_line_in_the_journal_is_cut(whole: list[TrialRecord], tmp_path: Path) -> None:
    search(tmp_path, trials=3)
    with (tmp_path / "trials.journal").open("ab") as journal:
        journal.write(b'{"op_code":4,"work')
    assert search(tmp_path) == whole


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    def fill(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        (tmp_path / "trials.journal").unlink()
        (tmp_path / "trials.journal").mkdir()
        return score(model, recipe)

    with pytest.raises(WorkspaceError, match=r"trials\.journal could not be written .*--out"):
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
        if model.model_dump()["convs"] < 2:
            raise TellapartError("the loss was not finite")
        return score(model, recipe)

    found = run_search(SPACE, Budget(TRIALS), fail, tmp_path / "trials.journal", ignore)
    trials, number, best = found.trials, found.best, found.run
    failed = [trial for trial in trials if trial.status == "failed"]
    assert trials[0] in failed
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
    trials = run_search(space, Budget(3), score, tmp_path / "trials.journal", ignore).trials
    assert {trial.settings["stages"] for trial in trials} == {1}


def test_trials_end_when_their_seconds_are_spent(tmp_path: Path) -> None:
    journal = tmp_path / "trials.journal"
    each = score(*split_settings(dict(NOTEBOOK_TRIAL), SPACE)).seconds
    trials = run_search(SPACE, Budget(TRIALS, 3.5 * each), score, journal, ignore).trials
    assert len(trials) == 4
    again = run_search(SPACE, Budget(TRIALS, 3.5 * each), score, journal, ignore).trials
    assert again == trials


def test_the_given_trials_run_whatever_the_seconds(tmp_path: Path) -> None:
    trials = search(tmp_path, trials=TRIALS, seconds=0.0)
    assert len(trials) == len(GIVEN)


@pytest.mark.parametrize(("size", "width"), [(32, 16), (64, 24), (2, 16), (4, 64)])
def test_given_trials_fit_every_space(size: int, width: int, tmp_path: Path) -> None:
    space = fit_space(size, width, TrainSettings())
    journal = tmp_path / "trials.journal"
    trials = run_search(space, Budget(len(GIVEN) + 2), score, journal, ignore).trials
    for trial in trials:
        model, _ = split_settings(trial.settings, space)
        widest = max(width, DEEP.width) if model.name == "stages" else width
        assert model.model_dump()["width"] <= widest
        make_model(model, Shape(3, size, 10))
    assert trials[0].settings["width"] == DEEP.width
    models = {trial.settings["model"] for trial in trials}
    assert ("speed" in models) == (space.stages > 1)


def test_hopeless_trials_are_stopped_and_have_no_accuracy(tmp_path: Path) -> None:
    trials = search(tmp_path, climb, trials=16)
    stopped = [trial for trial in trials if trial.status == "stopped"]
    done = [trial for trial in trials if trial.status == "done"]
    assert stopped and len(done) + len(stopped) == 16
    assert all(trial.number > len(GIVEN) for trial in stopped)
    medians = sorted(trial.val_accuracy.value for trial in done if trial.val_accuracy)
    for trial in stopped:
        assert trial.val_accuracy is None
        assert trial.note.startswith("stopped after epoch 2 at ")
        assert trial.seconds == 2 * 0.25
        model, recipe = split_settings(trial.settings, SPACE)
        assert score(model, recipe).val_accuracy.value < medians[-1]
    assert list_states(tmp_path).count("PRUNED") == len(stopped)
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
    assert [trial.status for trial in trials] == ["done", "stopped", "stopped", "done"]


def test_a_trial_that_fails_late_has_its_seconds_counted(tmp_path: Path) -> None:
    def fail(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        if model.name == "speed":
            error = NotFinite("the loss is not finite")
            error.seconds = 0.5
            raise error
        return climb(model, recipe, follow)

    trials = search(tmp_path, fail, trials=4)
    assert [(t.status, t.seconds) for t in trials if t.status == "failed"] == 2 * [("failed", 0.5)]


def test_importances_name_the_setting_that_decides(tmp_path: Path) -> None:
    def decide(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> RunRecord:
        return make_run(
            model, recipe, 0.5 + model.model_dump()["width"] / 200 + 0.001 * (recipe.lr < 0.05)
        )

    found = run_search(SPACE, Budget(40), decide, tmp_path / "trials.journal", ignore)
    assert found.importances
    for kind, shares in found.importances.items():
        counted = [t for t in found.trials if t.settings["model"] == kind and t.status == "done"]
        assert len(counted) >= ENOUGH
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=lambda name: shares[name]) == "width"
    few = run_search(SPACE, Budget(5), decide, tmp_path / "few.journal", ignore)
    assert few.importances == {}
