"""Fine-tuning: a backbone goes on learning, together with the head that its features had."""

from __future__ import annotations

import hashlib
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
from tellapart.models.tuned import (
    TunedNetwork,
    TunedSettings,
    describe_tuned,
    scale_layers,
    thaw_layers,
)
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
        tuned = self.tuned
        return {
            "backbone": tuned.backbone,
            "image_size": tuned.image_size,
            "depth": tuned.depth,
            "decay": tuned.decay,
        }

    def make_network(self) -> nn.Module:
        """Return a copy of the two as one network, of which the deeper layers may change."""
        network = TunedNetwork(deepcopy(self.backbone.network), deepcopy(self.head))
        thaw_layers(network, self.tuned.depth)
        return network

    def scale_weights(self, network: nn.Module) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the weights that change, with their rates over the recipe's."""
        assert isinstance(network, TunedNetwork)
        return scale_layers(network, self.tuned.decay)

    def save_memory(self, network: nn.Module) -> None:
        """Checkpoint gradients (Chen et al. 2016, arXiv 1604.06174), where timm's network can."""
        assert isinstance(network, TunedNetwork)
        network.checkpoint_gradients()


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
    recipe = read_record(head / ARGS, HeadArgs).recipe
    tuned = describe_tuned(backbone, recipe, settings.depth, settings.decay)
    digest = hashlib.sha256(backbone.key.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    origin = TunedOrigin(backbone, network, tuned, digest.hexdigest()[:16])
    task = Task(SimpleSettings(), settings.recipe, device, "best", origin=origin)
    return resize_dataset(dataset, backbone.image_size), task
