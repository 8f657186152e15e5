"""Fine-tuning: a backbone goes on learning, together with the head that its features had."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from tellapart.config import TuneSettings
from tellapart.data.dataset import Dataset, resize_dataset
from tellapart.device import DeviceName
from tellapart.models.backbone import Backbone, hash_network
from tellapart.models.tuned import TunedNetwork, TunedSettings
from tellapart.train.checkpoint import ARGS
from tellapart.train.learner import Task
from tellapart.transfer.head import HeadArgs, load_head
from tellapart.workspace import read_record


def prepare_tuning(
    dataset: Dataset,
    backbone: Backbone,
    head: Path,
    weights: str,
    settings: TuneSettings,
    device: DeviceName,
) -> tuple[Dataset, Task]:
    """Return the images as the backbone sees them, and the training, for `train_model`.

    It begins with the head of a run folder, on this backbone's features; ``weights`` is the SHA-256
    of the head's, in that run's record.

    Raises:
        DataError: the head was fitted on another backbone.
    """
    assert settings.depth != "none"
    model, network = join_head(backbone, head, weights)
    model = model.model_copy(update={"depth": settings.depth, "decay": settings.decay})
    task = Task(
        model,
        settings.recipe,
        device,
        keep="best",
        start=lambda: deepcopy(network),
        key=hash_network(backbone.key, network.head),
    )
    return resize_dataset(dataset, backbone.image_size), task


def join_head(backbone: Backbone, folder: Path, weights: str) -> tuple[TunedSettings, TunedNetwork]:
    """Return a backbone and the head of a run folder as one network, and all that builds it.

    Raises:
        DataError: the head was fitted on another backbone.
    """
    pixel = backbone.network
    settings = TunedSettings(
        backbone=backbone.name,
        architecture=backbone.architecture,
        image_size=backbone.image_size,
        mean=tuple(pixel.mean.flatten().tolist()),
        std=tuple(pixel.std.flatten().tolist()),
        features=backbone.features,
        head=read_record(folder / ARGS, HeadArgs).recipe,
        depth="none",
    )
    head = load_head(folder, backbone.key, weights)
    return settings, TunedNetwork(deepcopy(pixel), head)
