"""A model from pixels to probabilities, whatever it is made of: one network in its folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from tellapart.errors import BackboneError, SettingError, WorkspaceError
from tellapart.models import Network, NetworkSettings, Shape, make_model
from tellapart.models.forward import prepare_batch
from tellapart.models.tuned import TunedNetwork, TunedSettings
from tellapart.predict.folder import ARGS, WEIGHTS, read_file
from tellapart.records import PredictorArgs
from tellapart.train.checkpoint import copy_state, is_finite
from tellapart.workspace import write_bytes

MOST_NUMBER = 16_384
"""The largest whole number in a backbone's settings: layers of millions never end being built."""


class PixelClassifier(nn.Module):
    """(n, size, size, channels) uint8 to (n, classes) probabilities and (n, width) features.

    Features are what the last layer sees; of a backbone, what its head sees.
    """

    def __init__(self, network: nn.Module, temperature: float, mirrored: bool) -> None:
        super().__init__()
        self.network, self.temperature, self.mirrored = network.eval(), temperature, mirrored
        self._seen: list[torch.Tensor] = []
        find_last(network).register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0]))

    @property
    def width(self) -> int:
        """How many features an image has."""
        layers = find_last(self.network).modules()
        return next(layer.in_features for layer in layers if isinstance(layer, nn.Linear))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = prepare_batch(pixels, pixels.device)
        self._seen.clear()
        logits = self.network(images)
        features = self._seen.pop()
        if self.mirrored:
            logits = (logits + self.network(images.flip(3))) / 2
            self._seen.clear()
        return torch.softmax(logits / self.temperature, 1), features


def find_last(network: nn.Module) -> nn.Module:
    """Return the layer whose input is an image's features."""
    if isinstance(network, TunedNetwork):
        return network.head
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]


def save_weights(folder: Path, network: nn.Module) -> str:
    """Write a network's weights into a model's folder; return their SHA-256."""
    content = save(copy_state(network))
    write_bytes(folder / WEIGHTS, content)
    return hashlib.sha256(content).hexdigest()


def describe_network(settings: NetworkSettings) -> dict[str, Any]:
    """Return a network's settings as plain data, for ``model.json``."""
    found: dict[str, Any] = json.loads(settings.model_dump_json())
    return found


def load_network(folder: Path, args: PredictorArgs) -> PixelClassifier:
    """Return the model of a folder.

    It is compared with its weights before any memory is taken for it; nothing is run that the
    folder holds, nothing is fetched, and no other file is read.

    Raises:
        WorkspaceError: its files are missing, altered, or do not belong together.
    """
    content = read_file(folder, WEIGHTS, args)
    try:
        settings = read_settings(args.network)
        seen = args.preprocessing
        shape = Shape(seen.channels, seen.image_size, len(args.classes))
        with torch.device("meta"):
            planned = make_model(settings, shape).state_dict()
        state = load(content)
    except (ValidationError, SettingError, BackboneError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise WorkspaceError(
            f"{folder / ARGS} describes no network that can be built ({said:.200}); take the model "
            "from its study again"
        ) from error
    for name in sorted(planned.keys() | state.keys()):
        one, other = planned.get(name), state.get(name)
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            raise WorkspaceError(
                f"{folder / WEIGHTS} is of another network than {ARGS} says: {name} differs; take "
                "the model from its study again"
            )
        if not is_finite(other):
            raise WorkspaceError(f"weights must be finite, but {name} in {folder / WEIGHTS} is not")
    network = make_model(settings, shape)
    network.load_state_dict(state)
    return PixelClassifier(network, args.temperature, seen.mirrored)


def read_settings(network: dict[str, Any]) -> NetworkSettings:
    """Return the settings that ``model.json`` has as plain data."""
    _check_numbers(network.get("architecture"))
    kind: Any = TunedSettings if network.get("name") == "tuned" else Network
    found: NetworkSettings = TypeAdapter(kind).validate_python(network)
    return found


def _check_numbers(value: object) -> None:
    """Refuse a number in settings that would take forever to build."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _check_numbers(part)
    if isinstance(value, int) and abs(value) > MOST_NUMBER:
        raise SettingError(
            f"a backbone's settings must be at most {MOST_NUMBER:,}, but got {value}"
        )
