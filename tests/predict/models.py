"""Folders of models with random networks: what a study leaves, in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from tellapart.config import HeadSettings
from tellapart.models import NETWORKS, NetworkSettings, Shape, make_model
from tellapart.models.backbone import Backbone
from tellapart.models.tuned import TunedSettings
from tellapart.predict.folder import ARGS, REFERENCE, WEIGHTS
from tellapart.predict.network import PixelClassifier, describe_network, save_weights
from tellapart.predict.reference import Reference, shrink_pictures, write_reference
from tellapart.records import Estimate, PredictorArgs, Preprocessed
from tellapart.workspace import write_json

CLASSES = ("one", "two 'quoted'", "drei, \u2013 \U0001f600")
PICTURES = 40
SIMPLE = NETWORKS["simple"](name="simple", width=4, dense=8)
GREY = Preprocessed(image_size=8, channels=1)
Depth = Literal["none", "last"]


def paint(count: int, size: int, channels: int, seed: int = 0) -> np.ndarray:
    """Return (count, size, size, channels) uint8: smooth, unlike each other."""
    few = torch.rand((count, channels, 4, 4), generator=torch.Generator().manual_seed(seed))
    wide = nn.functional.interpolate(few, (size, size), mode="bicubic").clamp(0, 1)
    return (wide.permute(0, 2, 3, 1) * 255).byte().numpy()


def save_model(
    folder: Path, settings: NetworkSettings, seen: Preprocessed, network: nn.Module | None = None
) -> Path:
    """Write the folder of a model, its weights random unless there is a network."""
    torch.manual_seed(0)
    if network is None:
        network = make_model(settings, Shape(seen.channels, seen.image_size, len(CLASSES)))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and not hasattr(layer, "frozen"):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)  # type: ignore[arg-type]  # a tensor
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]  # a tensor
    pixels = paint(PICTURES, seen.image_size, seen.channels)
    spread_answers(network, pixels)
    width = PixelClassifier(network, 1.0, False).width
    vectors = np.random.default_rng(0).normal(size=(PICTURES, width)).astype(np.float32)
    labels = np.arange(PICTURES) % len(CLASSES)
    reference = Reference(
        vectors, labels, shrink_pictures(pixels, 64), labels, shrink_pictures(pixels, 4096)
    )
    half = Estimate(value=0.5, low=0.4, high=0.6, n=100)
    args = PredictorArgs(
        version="0.1.0",
        name=settings.name,
        study="../../made",
        step="baseline",
        data="made",
        fingerprint="0" * 12,
        classes=CLASSES,
        preprocessing=seen,
        network=describe_network(settings),
        temperature=0.31,
        metric="accuracy",
        score=half,
        accuracy=half,
        files={
            WEIGHTS: save_weights(folder, network),
            REFERENCE: write_reference(folder, reference),
        },
    )
    write_json(folder / ARGS, args)
    return folder


@torch.no_grad()
def spread_answers(network: nn.Module, pixels: np.ndarray) -> None:
    """Change the last layer so that its answers differ from image to image."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
    hook.remove()
    mean = seen[0].mean(0)
    last.weight -= (last.weight @ mean)[:, None] * mean / (mean @ mean)
    last.weight /= (seen[0] @ last.weight.T).std()
    if last.bias is not None:
        nn.init.zeros_(last.bias)


def tune(backbone: Backbone, depth: Depth = "none") -> tuple[TunedSettings, nn.Module]:
    """Return a backbone with a random head."""
    settings = TunedSettings(
        backbone=backbone.name,
        architecture=backbone.architecture,
        image_size=backbone.image_size,
        mean=tuple(backbone.network.mean.flatten().tolist()),
        std=tuple(backbone.network.std.flatten().tolist()),
        features=backbone.features,
        head=HeadSettings(dense=8),
        depth=depth,
    )
    network = settings.build(Shape(3, backbone.image_size, len(CLASSES)))
    own = {
        f"body.network.{name}": one for name, one in backbone.network.network.state_dict().items()
    }
    network.load_state_dict(own, strict=False)
    return settings, network
