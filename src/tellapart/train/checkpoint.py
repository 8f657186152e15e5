"""A model on disk: safetensors and JSON, with everything that prediction needs. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from tellapart.config import ModelSettings, Settings, TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import DataError
from tellapart.models import Shape, make_model
from tellapart.models.tuned import TunedSettings, make_tuned
from tellapart.workspace import read_json, write_bytes, write_json

ARGS = "args.json"
State = dict[str, torch.Tensor]


def copy_state(network: nn.Module) -> State:
    """Return a copy of the weights, contiguous and in main memory."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }


def save_weights(path: Path, state: State) -> Path:
    """Write weights as safetensors, whole or not at all."""
    return write_bytes(path, save(state))


def read_weights(path: Path) -> State:
    """Read a safetensors file.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({error})") from error


def write_args(
    folder: Path, dataset: Dataset, model: Settings, recipe: TrainSettings
) -> dict[str, Any]:
    """Write ``args.json``: settings, class names and preprocessing of the model in a folder."""
    args = {
        "kind": "tuned" if isinstance(model, TunedSettings) else "network",
        "model": model.model_dump(),
        "recipe": recipe.model_dump(),
        "classes": list(dataset.classes),
        "preprocessing": {
            "image_size": dataset.image_size,
            "channels": dataset.channels,
            "resize": "whole image to a square, bilinear, antialiased",
            "scale": "uint8 / 255",
            "views": ["image", "mirror image"] if recipe.mirrors else ["image"],
        },
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
    }
    write_json(folder / ARGS, args)
    return args


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network of a run folder with its best weights, and its ``args.json``.

    Raises:
        DataError: weights missing, damaged, or of another network.
        WorkspaceError: no readable ``args.json``.
    """
    args = read_json(folder / ARGS)
    shape = Shape(
        args["preprocessing"]["channels"],
        args["preprocessing"]["image_size"],
        len(args["classes"]),
    )
    network: nn.Module
    if args["kind"] == "tuned":
        network = make_tuned(TunedSettings(**args["model"]), shape.classes)
    else:
        network = make_model(ModelSettings(**args["model"]), shape)
    load_strictly(network, read_weights(folder / "weights" / "best.safetensors"), folder)
    return network, args


def load_strictly(network: nn.Module, state: State, where: Path) -> None:
    """Load weights that must match the network name by name and shape by shape.

    Raises:
        DataError: a name or a shape differs.
    """
    own = network.state_dict()
    for name in own.keys() | state.keys():
        if name not in own or name not in state or own[name].shape != state[name].shape:
            raise DataError(f"the weights in {where} are of another network: {name} differs")
    network.load_state_dict(state)
