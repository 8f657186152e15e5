"""Backbones of random weights, so small that tests are quick."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tellapart.models.backbone import Backbone, PixelBackbone
from tellapart.models.packaged import import_timm

FEATURES = 12


def make_tiny(seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, FEATURES, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    pixel = PixelBackbone(network, 16, [0.5] * 3, [0.25] * 3).eval()
    return Backbone(
        name="hub/tiny:one",
        source="test",
        license="mit",
        network=pixel,
        features=FEATURES,
        parameters=sum(p.numel() for p in network.parameters()),
        key=f"tiny-{seed}",
    )


def save_small(folder: Path) -> str:
    """Write timm's network for tests into a folder, and return the backbone's name."""
    torch.manual_seed(0)
    network = import_timm().create_model("test_efficientnet", num_classes=0)
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    card = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.25] * 3, "license": "mit"}
    config = {"architecture": "test_efficientnet", "num_classes": 0, "pretrained_cfg": card}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"local-dir:{folder}"
