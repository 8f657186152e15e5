"""Fine-tuning: where it begins, what it may change, and that it goes on after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from tellapart.config import HeadSettings, TuneSettings
from tellapart.data import load_images
from tellapart.data.dataset import Dataset, resize_dataset
from tellapart.errors import DataError, Interrupted
from tellapart.models import forward
from tellapart.models.backbone import (
    PACKAGED,
    Backbone,
    PixelBackbone,
    make_backbone,
    resize_backbone,
)
from tellapart.models.forward import has_norm, predict_logits
from tellapart.models.tuned import TunedNetwork, TunedSettings
from tellapart.stop import clear_stop
from tellapart.train.checkpoint import load_model
from tellapart.train.learner import Task, make_learner
from tellapart.train.loop import Rows, train_model
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples, HeadArgs, fit_head, predict_head
from tellapart.transfer.resources import Resources
from tellapart.transfer.tune import prepare_tuning
from tellapart.workspace import write_json

from ..train.runs import count_reads, read_end

ROWS = Rows(np.arange(120, dtype=np.int64), np.arange(120, 200, dtype=np.int64))
HEAD = HeadSettings(dense=8, epochs=2, batch_size=32)
SIDE = 32


def make_small() -> Backbone:
    """Return timm's network for tests, with its first weights."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0)
    pixel = PixelBackbone(network, SIDE, [0.5] * 3, [0.25] * 3).eval()
    return Backbone(
        name="hub/small:one",
        source="test",
        license="none",
        network=pixel,
        features=int(network.num_features),  # type: ignore[arg-type]  # a number on timm's
        parameters=sum(p.numel() for p in network.parameters()),
        key="small",
        architecture={"name": "test_efficientnet", "settings": {}},
    )


def plan(
    dataset: Dataset, backbone: Backbone, folder: Path, settings: TuneSettings
) -> tuple[Dataset, Task]:
    """Fit a head on a backbone's features, and return the fine-tuning that goes on from it."""
    vectors = extract_features(dataset, backbone, Resources("cpu")).vectors
    head = folder / "head"
    run = fit_head(Examples(vectors, dataset.labels), ROWS, HEAD, head)
    args = HeadArgs(
        recipe=HEAD,
        classes=dataset.classes,
        backbone=backbone.name,
        backbone_key=backbone.key,
        features=backbone.features,
        image_size=SIDE,
    )
    write_json(head / "args.json", args)
    seen, task = prepare_tuning(dataset, backbone, head, run.weights, settings, "cpu")
    return seen, dataclasses.replace(task, precision="float32", every=0)


def settings_of(depth: str, epochs: int = 2) -> TuneSettings:
    return TuneSettings.model_validate({"depth": depth, "epochs": epochs, "augment": "none"})


def test_it_begins_with_what_the_frozen_head_says(digits: Dataset, tmp_path: Path) -> None:
    backbone = make_small()
    seen, task = plan(digits, backbone, tmp_path, settings_of("all"))
    assert task.start is not None
    network = task.start()
    assert isinstance(network, TunedNetwork)
    vectors = extract_features(digits, backbone, Resources("cpu")).vectors
    found = predict_logits(network, seen, ROWS.watch, "float32")
    frozen = predict_head(network.head, vectors, ROWS.watch)
    assert np.abs(found - frozen).max() < 0.05  # features were kept in half precision
    assert not has_norm(network)


@pytest.mark.parametrize("depth", ["last", "all"])
def test_what_may_change_does_and_nothing_else(depth: str, digits: Dataset, tmp_path: Path) -> None:
    backbone = make_small()
    before = {name: w.clone() for name, w in backbone.network.state_dict().items()}
    seen, task = plan(digits, backbone, tmp_path, settings_of(depth, epochs=1))
    run = train_model(seen, ROWS, task, tmp_path / "tuned")
    network, _ = load_model(tmp_path / "tuned", run.weights)
    assert isinstance(network, TunedNetwork)
    layers = network.list_layers()
    names = {id(weight): name for name, weight in network.body.named_parameters()}
    free = layers if depth == "all" else layers[-(-len(layers) * 2 // 3) :]
    changeable = {names[id(weight)] for layer in free for weight in layer}
    assert names.keys() == {id(weight) for layer in layers for weight in layer}
    for name, tensor in network.body.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name not in changeable), name
    assert all(torch.equal(w, before[n]) for n, w in backbone.network.state_dict().items())
    assert run.model == "tuned"
    assert run.settings["backbone"] == "hub/small:one"
    assert run.settings["depth"] == depth


def test_rates_fall_towards_the_image(digits: Dataset, tmp_path: Path) -> None:
    _, task = plan(digits, make_small(), tmp_path, settings_of("all"))
    assert task.start is not None and isinstance(task.model, TunedSettings)
    network = task.start()
    assert isinstance(network, TunedNetwork)
    layers = network.list_layers()
    stem = network.body.network.conv_stem
    assert isinstance(stem, torch.nn.Module)
    assert any(weight is stem.weight for weight in layers[0])
    settings = task.model.model_copy(update={"decay": 0.5})
    rates = [rate for rate, _ in network.set_rates(settings)]
    assert rates == [0.5**k for k in range(len(layers), 0, -1)] + [1.0]


@pytest.mark.parametrize("stop_at", [3, 6])
def test_after_a_stop_it_comes_to_the_same_weights(
    stop_at: int, digits: Dataset, tmp_path: Path
) -> None:
    seen, task = plan(digits, make_small(), tmp_path, settings_of("last"))
    train_model(seen, ROWS, task, tmp_path / "whole")
    stopping, _ = count_reads(seen, stop_at)
    with pytest.raises(Interrupted):
        train_model(stopping, ROWS, task, tmp_path / "parts")
    clear_stop()
    train_model(seen, ROWS, task, tmp_path / "parts")
    whole, parts = read_end(tmp_path / "whole"), read_end(tmp_path / "parts")
    assert whole == parts


def test_where_one_image_takes_too_much_less_is_kept_and_the_gradient_is_the_same(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, task = plan(digits, make_small(), tmp_path, settings_of("all"))
    images = torch.rand(2, 1, SIDE, SIDE)
    kept: list[int] = []
    gradients: list[list[torch.Tensor]] = []
    for room in (forward.CHUNK_BYTES, 1000):
        monkeypatch.setattr(forward, "CHUNK_BYTES", room)
        learner = make_learner(seen, ROWS.train, task)
        learner.network.train()
        torch.manual_seed(0)  # of dropout
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor, saved: dict[int, int] = saved) -> torch.Tensor:
            saved[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = learner.network(images).square().sum()
        kept.append(sum(saved.values()))
        loss.backward()
        trained = learner.network.parameters()
        gradients.append([w.grad.clone() for w in trained if w.grad is not None])
    assert learner.chunk == 1
    assert kept[1] < kept[0] / 1.5
    for whole, parts in zip(*gradients, strict=True):
        assert torch.allclose(whole, parts, rtol=1e-4, atol=1e-6)


def test_a_head_of_another_backbone_is_refused(digits: Dataset, tmp_path: Path) -> None:
    backbone = make_small()
    plan(digits, backbone, tmp_path, settings_of("last"))
    other = dataclasses.replace(backbone, key="other")
    with pytest.raises(DataError, match="key small"):
        prepare_tuning(digits, other, tmp_path / "head", "", settings_of("last"), "cpu")


def test_the_packaged_backbone_can_be_tuned_and_read_again(digits: Dataset, tmp_path: Path) -> None:
    backbone = resize_backbone(make_backbone(PACKAGED), SIDE)
    seen, task = plan(digits, backbone, tmp_path, settings_of("last", epochs=1))
    run = train_model(seen, ROWS, task, tmp_path / "tuned")
    network, args = load_model(tmp_path / "tuned", run.weights)
    assert args.model.name == "tuned"
    assert isinstance(args.model, TunedSettings)
    assert args.model.architecture == {"name": "tf_efficientnet_lite0", "settings": {}}
    assert predict_logits(network, seen, ROWS.watch, "float32").shape == (80, 10)


def test_files_are_read_at_the_backbones_size(digits: Dataset, tmp_path: Path) -> None:
    assert resize_dataset(digits, 64) is digits
    for number in range(4):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((90, 60), 40).save(path)
    dataset = load_images(tmp_path / "photos")
    large = resize_dataset(dataset, 48)
    assert large.image_size == 48
    assert large.source.read(np.arange(2)).shape[1:] == (48, 48, dataset.channels)
