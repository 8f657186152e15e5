"""Backbones of random weights, so small that tests are quick."""

from __future__ import annotations

import torch
from torch import nn

from tellapart.models.backbone import Backbone, PixelBackbone

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
