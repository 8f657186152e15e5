from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from tellapart.errors import SettingError
from tellapart.models import ResnetSettings, SimpleSettings
from tellapart.study.settings import (
    ComputeSettings,
    RunSettings,
    SearchSettings,
    StudySettings,
    SweepSettings,
    TransferSettings,
    read_list,
)
from tellapart.study.start import name_steps


def test_numbers_and_texts_of_seeds_are_one() -> None:
    assert SweepSettings(seeds=3) == SweepSettings(seeds="3")  # type: ignore[arg-type]  # the test
    assert ComputeSettings(processes=2).processes == "2"  # type: ignore[arg-type]  # the test
    assert SweepSettings(seeds="3+").seeds == "3+"


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (StudySettings, {"minute": 3}, "no setting 'minute'; did you mean 'minutes'"),
        (StudySettings, {"sweep": {"sedes": 3}}, "no setting 'sedes'; did you mean 'seeds'"),
        (StudySettings, {"minutes": 0}, "^minutes must be above 0, but got 0$"),
        (StudySettings, {"minutes": float("inf")}, "^minutes must be a finite number, but got inf"),
        (StudySettings, {"epochs": 1.5}, "^epochs must be a whole number, but got 1.5$"),
        (StudySettings, {"metric": "macro"}, "metric must be one of accuracy, .* but got 'macro'"),
        (StudySettings, {"metric": "macro-f1"}, "got 'macro-f1'; did you mean 'macro_f1'"),
        (
            ComputeSettings,
            {"executor": "locl"},
            "one of auto, inline.* 'locl'; did you mean 'local'",
        ),
        (ComputeSettings, {"device": "gpu"}, "device must be one of auto, cpu, cuda, mps, but got"),
        (StudySettings, {"model": "rsnet"}, "model must be .* 'rsnet'; did you mean 'resnet'"),
        (
            ComputeSettings,
            {"processes": 0},
            "processes must be a whole number from 1, or auto, but",
        ),
        (SweepSettings, {"seeds": "0"}, "seeds must be a whole number from 1, such a number and"),
        (SweepSettings, {"margin": 200}, "^margin must be below 100, but got 200$"),
        (SweepSettings, {"sizes": {"conv": "8,x"}}, "sizes must each be a whole number.* 'x'"),
        (SearchSettings, {"trials": 0}, "^trials must be at least 1, but got 0$"),
        (TransferSettings, {"folds": 1}, "^folds must be at least 2, but got 1$"),
        (TransferSettings, {"heads": "both2"}, "heads must be one of both, .*mean 'both'"),
        (TransferSettings, {"tune": {"depth": "sme"}}, "depth must be one of none, last, all"),
        (
            TransferSettings,
            {"view_augment": "flp"},
            "augment must be .* 'flp'; did you mean 'flip'",
        ),
    ],
)
def test_what_is_refused_is_named_with_its_rule(
    kind: Any, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        kind(**values)


def test_a_network_is_read_as_what_it_was() -> None:
    settings = StudySettings(model=ResnetSettings(width=8))
    again = StudySettings.model_validate_json(settings.model_dump_json())
    assert again.model == ResnetSettings(width=8) and again == settings
    assert StudySettings(model="simple").model == SimpleSettings()  # type: ignore[arg-type]  # the test


def test_steps_are_those_of_the_study_in_its_order() -> None:
    named = StudySettings(steps=("conv", "inspect", "conv"))
    assert name_steps(named) == ("inspect", "conv", "model")
    assert TypeAdapter(StudySettings).validate_python({"steps": "conv, inspect"}).steps == (
        "conv",
        "inspect",
    )
    with pytest.raises(SettingError, match="got 'bseline'; did you mean 'baseline'"):
        name_steps(StudySettings(steps=("bseline",)))


def test_only_texts_are_lists_of_parts() -> None:
    assert read_list(" 8, 16,") == ["8", "16"]
    assert read_list([8, 16]) == [8, 16]
    assert read_list(8) == 8


def test_a_run_s_settings_are_a_study_s() -> None:
    run = RunSettings(epochs=3, metric="macro_f1")
    assert StudySettings(**dict(run)).epochs == 3
