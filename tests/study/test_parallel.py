"""How many workers train: by what was measured, by memory, and by what the user named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tellapart.cells.reporter import Reporter
from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.evaluate import Seal
from tellapart.models import SimpleSettings
from tellapart.study import start
from tellapart.study.context import LEAST_GAIN, LEAST_SAVED, Context
from tellapart.study.settings import ComputeSettings, StudySettings

LONG = 1e4
SMALL = SimpleSettings(width=8)
Make = Callable[[StudySettings, float], Context]


@pytest.fixture
def make(
    digits: Dataset, digits_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Return what makes a context in which one core is so many times as slow as all."""

    def build(settings: StudySettings, slower: float) -> Context:
        def measure(
            self: Context, model: object, recipe: object = None, alone: bool = False
        ) -> float:
            return slower if alone else 1.0

        monkeypatch.setattr(Context, "measure_epoch", measure)
        return Context(
            dataset=digits,
            seal=Seal(digits, digits_split, tmp_path),
            folder=tmp_path,
            reporter=Reporter(),
            device="cpu",
            settings=settings,
            workers=2,
        )

    return build


AUTO = StudySettings(compute=ComputeSettings(device="cpu"))


def test_workers_train_where_they_gain_enough_together(make: Make) -> None:
    assert make(AUTO, 1.25).choose_workers([SMALL], LONG) == (2, 1.6)
    assert make(AUTO, 2 / (LEAST_GAIN - 0.01)).choose_workers([SMALL], LONG) == (1, 1.0)
    assert make(AUTO, 0.5).choose_workers([SMALL], LONG) == (2, 2.0), "no more than there are"
    assert make(AUTO, 1.0).choose_workers([SMALL], LEAST_SAVED) == (1, 1.0), "too short to start"


@pytest.mark.parametrize("named", [{"processes": "2"}, {"executor": "local"}])
def test_what_the_user_named_stays(named: dict[str, str], make: Make) -> None:
    settings = StudySettings(compute=ComputeSettings.model_validate({"device": "cpu", **named}))
    assert make(settings, 4.0).choose_workers([SMALL], LONG) == (2, 0.5)


def test_one_worker_is_not_measured(make: Make) -> None:
    context = replace(make(AUTO, float("nan")), workers=1)
    assert context.choose_workers([SMALL], LONG) == (1, 1.0)


@pytest.mark.parametrize(
    ("settings", "threads", "room", "workers"),
    [
        ({}, 2, 6.5e9, 2),
        ({}, 64, 6.5e9, 6),  # as many as fit in the memory
        ({}, 2, 1.9e9, 1),
        ({}, 1, 6.5e9, 1),
        ({"processes": "3"}, 2, 1.9e9, 3),  # as was named
        ({"executor": "inline"}, 2, 6.5e9, 1),
        ({"protocol": "notebook"}, 2, 6.5e9, 1),
    ],
)
def test_there_are_as_many_workers_as_cores_that_fit(
    settings: dict[str, str],
    threads: int,
    room: float,
    workers: int,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "count_threads", lambda: threads)
    monkeypatch.setattr(start, "measure_room", lambda: room)
    compute = {"device": "cpu"} | {k: v for k, v in settings.items() if k != "protocol"}
    rest = {k: v for k, v in settings.items() if k == "protocol"}
    context = make(StudySettings.model_validate({"compute": compute, **rest}), 1.0)
    assert start.plan_common(context).workers == workers


def test_every_gpu_has_a_worker(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as can be told without one."""
    monkeypatch.setattr(start, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(start, "choose_precision", lambda device: "float32")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert start.plan_common(make(StudySettings(), 1.0)).workers == 3
