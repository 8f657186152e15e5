"""Weights in timm's layout for tests, random ones of a small network, and changes to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tellapart.models.weights import import_timm

ARCHITECTURE = "test_efficientnet"
State = dict[str, torch.Tensor]


def save_weights(folder: Path, architecture: str = ARCHITECTURE, seed: int = 0) -> str:
    """Write a folder of weights with a classifier, and return the backbone's name."""
    torch.manual_seed(seed)
    network = import_timm().create_model(architecture, num_classes=1000)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(network.state_dict()), folder / "model.safetensors")
    card = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}
    card |= {"num_classes": 1000, "classifier": "classifier", "license": "mit"}
    config = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": card}
    (folder / "config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def change_weights(folder: Path, change: Callable[[State], object]) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
