from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar, Literal

import pytest
import torch

from tellapart.config import Settings, TrainSettings
from tellapart.errors import SettingError
from tellapart.models import (
    NETWORKS,
    DeepSettings,
    Network,
    NetworkSettings,
    ResnetSettings,
    Shape,
    SimpleSettings,
    SpeedSettings,
    StagesSettings,
    count_parameters,
    count_planned,
    make_model,
    make_network_settings,
    read_network,
)

CIFAR = Shape(channels=3, size=32, classes=10)
DIGITS = Shape(channels=1, size=8, classes=10)


class Holder(Settings):
    model: Network = SimpleSettings()


class ToySettings(NetworkSettings):
    name: Literal["toy"] = "toy"
    units: int = 3
    recipe: ClassVar[TrainSettings] = TrainSettings()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_complete(name: str) -> None:
    settings = make_network_settings(name)
    assert settings.name == name
    assert settings.label.startswith(name)
    assert settings.description
    assert settings.recipe.epochs > 0
    for size in settings.list_sizes():
        assert type(settings).model_fields[size].description, size
    side = max(4, settings.smallest)
    network = make_model(settings, Shape(1, side, 2)).eval()
    assert network(torch.rand(2, 1, side, side)).shape == (2, 2)


@pytest.mark.parametrize("shape", [CIFAR, DIGITS, Shape(1, 29, 3)])
@pytest.mark.parametrize(
    "settings",
    [
        SimpleSettings(width=16, dense=0),
        StagesSettings(width=8, dense=64, dropout=0.3),
        DeepSettings(),
        ResnetSettings(width=8, blocks=2),
        StagesSettings(width=8, stages=1, dense=0),
        StagesSettings(width=8, stages=4, convs=3, norm=True, dense=32),
    ],
)
def test_the_planned_count_is_the_built_one(settings: NetworkSettings, shape: Shape) -> None:
    network = make_model(settings, shape)
    assert count_planned(settings, shape) == count_parameters(network)
    images = torch.rand(2, shape.channels, shape.size, shape.size)
    assert network.eval()(images).shape == (2, shape.classes)


def test_planning_takes_no_memory() -> None:
    assert count_planned(SimpleSettings(width=1024, dense=10**6), CIFAR) > 2e11


@pytest.mark.parametrize("name", ["simple", "speed", "resnet"])
def test_images_too_small_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"model {name} needs images of at least 4 px.* got 3"):
        make_model(read_network(name), Shape(1, 3, 2))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("resnet", {"dense": 5}, "^model resnet has no setting 'dense'; it has width, blocks$"),
        ("deep", {"width": 64}, "^model deep has no setting 'width'; it has none$"),
        ("resnt", {}, "model must be one of simple, .*, but got 'resnt'; did you mean 'resnet'"),
        ("simple", {"width": 0}, "width .* 1, but got 0"),
        ("stages", {"stages": 6}, "stages .* 5, but got 6"),
        ("simple", {"width": "wide"}, "width .*whole number.* but got 'wide'"),
    ],
)
def test_what_a_network_does_not_have_is_refused(
    name: str, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        make_network_settings(name, **values)
    given: Any = {"name": name} | values
    with pytest.raises(SettingError, match=said):
        Holder(model=given)


def test_none_leaves_the_default() -> None:
    assert make_network_settings("speed", width=16, dense=None) == SpeedSettings(width=16)


@pytest.mark.parametrize("settings", [ResnetSettings(blocks=2), DeepSettings()])
def test_a_field_keeps_every_setting_of_its_network(settings: NetworkSettings) -> None:
    holder = Holder(model=settings)
    assert holder.model_dump()["model"] == settings.model_dump()
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    named: Any = settings.name
    assert Holder(model=named).model == make_network_settings(settings.name)


def test_a_new_network_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "toy", ToySettings)
    holder = Holder.model_validate({"model": {"name": "toy", "units": 4}})
    assert holder.model == ToySettings(units=4)
    assert holder.model.label == "toy"


def test_the_settings_load_no_torch() -> None:
    code = "import sys, tellapart.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
