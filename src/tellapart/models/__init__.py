"""Networks. The one table of them is here; nothing loads torch before a network is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from tellapart.errors import SettingError, suggest_name
from tellapart.models.network import NetworkSettings, Shape, Space
from tellapart.models.resnet import ResnetSettings
from tellapart.models.simple import SimpleSettings
from tellapart.models.speed import SpeedSettings
from tellapart.models.stages import DeepSettings, StagesSettings

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "NETWORKS", "DeepSettings", "Network", "NetworkSettings", "ResnetSettings", "Shape",
    "SimpleSettings", "Space", "SpeedSettings", "StagesSettings", "count_parameters",
    "count_planned", "make_model", "make_network_settings", "read_network",
]  # fmt: skip

NETWORKS: dict[str, type[NetworkSettings]] = {
    "simple": SimpleSettings,
    "deep": DeepSettings,
    "stages": StagesSettings,
    "speed": SpeedSettings,
    "resnet": ResnetSettings,
}


def make_network_settings(name: str, **values: Any) -> NetworkSettings:
    """Return a network's settings, with the values that are not None.

    Raises:
        SettingError: no such network, a setting that it does not have, or a value outside its rule.

    >>> make_network_settings("speed", width=16, dense=None).label
    'speed 16, 2 a group'
    """
    kind = NETWORKS.get(str(name))
    if kind is None:
        error = SettingError(
            f"model must be one of {', '.join(NETWORKS)}, but got {name!r}"
            f"{suggest_name(str(name), NETWORKS)}"
        )
        error.name, error.flag = "model", "--model"
        raise error
    return kind(**{key: value for key, value in values.items() if value is not None})


def read_network(given: object) -> NetworkSettings:
    """Return the network that settings, a dict with a ``name``, or a name alone mean."""
    if isinstance(given, NetworkSettings):
        return given
    if isinstance(given, dict):
        return make_network_settings(**{"name": "simple"} | given)
    return make_network_settings(str(given))


Network = Annotated[SerializeAsAny[NetworkSettings], BeforeValidator(read_network)]
"""The type of a field that holds any network's settings, read back as what they were."""


def make_model(settings: NetworkSettings, shape: Shape) -> nn.Module:
    """Build a network with fresh weights.

    Raises:
        SettingError: the images are too small for it.
    """
    if shape.size < settings.smallest:
        raise SettingError(
            f"model {settings.name} needs images of at least {settings.smallest} px, "
            f"but got {shape.size}"
        )
    return settings.build(shape)


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights that training can change."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def count_planned(settings: NetworkSettings, shape: Shape) -> int:
    """Return the number of parameters of a network, without taking memory for it."""
    import torch

    with torch.device("meta"):
        return count_parameters(make_model(settings, shape))
