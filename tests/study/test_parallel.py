"""When a network's trainings go several at once: by what was measured, memory, and who asked."""

from __future__ import annotations

import pytest
import torch
from tellapart.plan import LEAST_GAIN, StudySettings, SweepSettings
from tellapart.study.parallel import (
    MODEST,
    count_processes,
    find_gain,
    fit_processes,
    measure_room,
    measure_with_one,
    share_machine,
)

from tellapart.device import count_threads, limit_threads
from tellapart.models import NetworkSettings, Shape, SimpleSettings
from tellapart.study import parallel

SHAPE = Shape(1, 8, 10)
AUTO = StudySettings(device="cpu")
TWO = StudySettings(device="cpu", sweep=SweepSettings(processes=2))
SMALL, LARGE = SimpleSettings(width=8), SimpleSettings(width=512)
WIDE = SimpleSettings(width=4096, dense=1024)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_threads", lambda: 2)


def measure(model: NetworkSettings) -> float:
    return 1.0


def measure_alone(model: NetworkSettings) -> float:
    return 1.1 if model == SMALL else 2 / (LEAST_GAIN - 0.01)


@pytest.mark.usefixtures("two_threads")
def test_what_gains_enough_goes_several_at_once() -> None:
    gain = find_gain(AUTO, SHAPE, 2, measure, measure_alone)
    assert gain(SMALL) == pytest.approx(2 / 1.1)
    assert gain(LARGE) == 1.0


@pytest.mark.usefixtures("two_threads")
def test_a_number_that_was_named_holds_for_every_network() -> None:
    assert find_gain(TWO, SHAPE, 2, measure, measure_alone)(LARGE) == pytest.approx(
        LEAST_GAIN - 0.01
    )


@pytest.mark.usefixtures("two_threads")
def test_networks_that_do_not_fit_side_by_side_go_one_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "measure_room", lambda: 1.9e9)
    assert find_gain(AUTO, SHAPE, 2, measure, measure_alone)(SMALL) == 1.0
    assert fit_processes(AUTO, SHAPE) == 1
    assert fit_processes(TWO, SHAPE) == 2  # as was named


def test_no_more_are_reckoned_with_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_threads", lambda: 64)
    monkeypatch.setattr(parallel, "measure_room", lambda: 6.5e9)
    assert fit_processes(AUTO, SHAPE) == 6
    gain = find_gain(AUTO, SHAPE, 6, measure, measure_alone)
    assert gain(SMALL) == pytest.approx(6 / 1.1)
    assert gain(WIDE) == pytest.approx(3 * (LEAST_GAIN - 0.01) / 2)  # of which three fit


def refuse(model: NetworkSettings) -> float:
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
    assert find_gain(settings, SHAPE, fit_processes(settings, SHAPE), refuse, refuse)(SMALL) == 1.0


def test_every_gpu_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as can be told without one: which networks go there, and what each process sees."""
    monkeypatch.setattr(parallel, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr(parallel, "count_threads", lambda: 8)
    settings = StudySettings()
    assert count_processes(settings) == fit_processes(settings, SHAPE) == 3
    assert find_gain(settings, SHAPE, 3, refuse, refuse)(LARGE) == 3.0
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    threads, own = share_machine(settings, 3)
    assert threads == 2
    assert [one["CUDA_VISIBLE_DEVICES"] for one in own] == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7a,1")
    assert [one["CUDA_VISIBLE_DEVICES"] for one in share_machine(settings, 4)[1]] == [
        "4",
        "GPU-7a",
        "1",
        "4",
    ]


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
