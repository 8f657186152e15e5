"""Fine-tuning: a backbone goes on learning, together with the head that its features had."""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tellapart.config import Settings, TuneSettings
from tellapart.data.dataset import Dataset, resize_dataset
from tellapart.device import DeviceName
from tellapart.models import SimpleSettings
from tellapart.models.backbone import Backbone
from tellapart.models.tuned import TunedNetwork, TunedSettings, list_layers
from tellapart.records import Scalar
from tellapart.train.checkpoint import ARGS
from tellapart.train.learner import Task
from tellapart.transfer.head import HeadArgs, load_head
from tellapart.workspace import read_record


@dataclass(frozen=True)
class TunedOrigin:
    """A backbone and the head of its frozen features, where fine-tuning begins."""

    backbone: Backbone
    head: nn.Module
    tuned: TunedSettings
    key: str
    name: str = "tuned"

    @property
    def settings(self) -> Settings:
        """What builds the network again without its weights."""
        return self.tuned

    def describe(self) -> dict[str, Scalar]:
        """Return the settings that a record shows."""
        return self.tuned.model_dump(include={"backbone", "image_size", "depth", "decay"})

    def make_network(self) -> nn.Module:
        """Return a copy of the two as one network, of which the deeper layers may change."""
        network = TunedNetwork(deepcopy(self.backbone.network), deepcopy(self.head))
        layers = list_layers(network)
        kept = 0 if self.tuned.depth == "all" else len(layers) - math.ceil(len(layers) / 3)
        for number, layer in enumerate(layers):
            for weight in layer:
                weight.requires_grad_(number >= kept)
        return network

    def scale_weights(self, network: nn.Module) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the weights that change, with their rates over the recipe's."""
        assert isinstance(network, TunedNetwork)
        layers = [*list_layers(network), list(network.head.parameters())]
        parts = [
            (self.tuned.decay**depth, [weight for weight in layer if weight.requires_grad])
            for depth, layer in zip(reversed(range(len(layers))), layers, strict=True)
        ]
        return [(rate, layer) for rate, layer in parts if layer]

    def save_memory(self, network: nn.Module) -> None:
        """Checkpoint gradients (Chen et al. 2016, arXiv 1604.06174), where timm's network can."""
        assert isinstance(network, TunedNetwork)
        body = network.body.network
        if hasattr(body, "set_grad_checkpointing"):
            with suppress(AssertionError):  # how some say that they cannot
                body.set_grad_checkpointing(True)  # type: ignore[operator]  # a method on timm's


def prepare_tuning(
    dataset: Dataset,
    backbone: Backbone,
    head: Path,
    weights: str,
    settings: TuneSettings,
    device: DeviceName,
) -> tuple[Dataset, Task]:
    """Return the images as the backbone sees them, and the training, for `train_model`.

    Args:
        head: the run folder of a head on this backbone's features.
        weights: the SHA-256 of the head's weights.

    Raises:
        DataError: the head was fitted on another backbone.
    """
    assert settings.depth != "none"
    network = load_head(head, backbone.key, weights)
    pixel = backbone.network
    tuned = TunedSettings(
        backbone=backbone.name,
        architecture=backbone.architecture,
        image_size=backbone.image_size,
        mean=tuple(pixel.mean.flatten().tolist()),
        std=tuple(pixel.std.flatten().tolist()),
        features=backbone.features,
        head=read_record(head / ARGS, HeadArgs).recipe,
        depth=settings.depth,
        decay=settings.decay,
    )
    digest = hashlib.sha256(backbone.key.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    origin = TunedOrigin(backbone, network, tuned, digest.hexdigest()[:16])
    task = Task(SimpleSettings(), settings.recipe, device, "best", origin=origin)
    return resize_dataset(dataset, backbone.image_size), task
