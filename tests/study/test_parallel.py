"""When a network's trainings go several at once: by what was measured, memory, and who asked."""

from __future__ import annotations

import pytest

from tellapart.config import ModelSettings
from tellapart.device import count_threads, limit_threads
from tellapart.models import Shape
from tellapart.plan import StudySettings, SweepSettings
from tellapart.study import parallel
from tellapart.study.parallel import (
    LEAST_GAIN,
    MODEST,
    count_processes,
    find_gain,
    measure_room,
    measure_with_one,
)

SHAPE = Shape(1, 8, 10)
AUTO = StudySettings(device="cpu")
TWO = StudySettings(device="cpu", sweep=SweepSettings(processes=2))
SMALL, LARGE = ModelSettings(width=8), ModelSettings(width=512)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_threads", lambda: 2)


def measure(model: ModelSettings) -> float:
    return 1.0


def measure_alone(model: ModelSettings) -> float:
    return 1.1 if model == SMALL else 2 / (LEAST_GAIN - 0.01)


@pytest.mark.usefixtures("two_threads")
def test_what_gains_enough_goes_several_at_once() -> None:
    gain = find_gain(AUTO, SHAPE, measure, measure_alone)
    assert gain(SMALL) == pytest.approx(2 / 1.1)
    assert gain(LARGE) == 1.0


@pytest.mark.usefixtures("two_threads")
def test_a_number_that_was_named_holds_for_every_network() -> None:
    assert find_gain(TWO, SHAPE, measure, measure_alone)(LARGE) == pytest.approx(LEAST_GAIN - 0.01)


@pytest.mark.usefixtures("two_threads")
def test_networks_that_do_not_fit_side_by_side_go_one_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "measure_room", lambda: 1.9e9)
    assert find_gain(AUTO, SHAPE, measure, measure_alone)(SMALL) == 1.0


def refuse(model: ModelSettings) -> float:
    raise AssertionError("nothing was to be measured")


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "settings",
    [
        StudySettings(device="cpu", sweep=SweepSettings(processes=1)),
        StudySettings(device="cpu", protocol="notebook"),
    ],
)
def test_one_process_is_not_measured(settings: StudySettings) -> None:
    assert count_processes(settings) == 1
    assert find_gain(settings, SHAPE, refuse, refuse)(SMALL) == 1.0


def test_one_thread_has_nothing_to_share() -> None:
    before = count_threads()
    limit_threads(1)
    try:
        assert count_processes(AUTO) == 1
    finally:
        limit_threads(before)


def test_a_look_with_one_thread_leaves_the_number_as_it_was() -> None:
    before = count_threads()
    assert measure_with_one(lambda: float(count_threads())) == 1.0
    assert count_threads() == before


def test_the_memory_for_processes_is_modest_where_there_is_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for free, room in ((1e9, 0.8e9), (8e9, MODEST), (20e9, MODEST), (200e9, 20e9)):
        monkeypatch.setattr(parallel, "measure_free_memory", lambda free=free: free)
        assert measure_room() == pytest.approx(room)
