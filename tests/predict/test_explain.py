"""Explanations: the evidence lies where it is, for every network, and is said as it is."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tellapart.cli import main
from tellapart.config import HeadSettings
from tellapart.data.content import BytesContent
from tellapart.errors import DataError, SettingError
from tellapart.models import NETWORKS, Shape, make_model, make_network_settings
from tellapart.models.backbone import PixelBackbone
from tellapart.models.forward import prepare_batch
from tellapart.models.layers import GlobalMean, make_head
from tellapart.models.tuned import TunedNetwork
from tellapart.predict.explain import Explanation, draw_overlay, explain_image
from tellapart.predict.heatmap import find_layer, map_evidence
from tellapart.predict.inputs import Item, list_items
from tellapart.predict.network import PixelClassifier
from tellapart.predict.poster import draw_poster
from tellapart.predict.predictor import Predictor

SIDE, SQUARE = 16, 6


def paint_squares(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images with a red (class 0) or green square in one corner, classes, and corners."""
    draw = np.random.default_rng(seed)
    images = draw.integers(90, 130, (count, SIDE, SIDE, 3), dtype=np.uint8)
    classes, corners = draw.integers(0, 2, count), draw.integers(0, 4, count)
    for image, label, corner in zip(images, classes, corners, strict=True):
        top, left = (place * (SIDE - SQUARE) for place in divmod(int(corner), 2))
        image[top : top + SQUARE, left : left + SQUARE] = np.roll((240, 20, 20), label)
    return images, classes, corners


def train(name: str) -> PixelClassifier:
    torch.manual_seed(0)
    network = make_model(make_network_settings(name), Shape(3, SIDE, 2))
    classifier = PixelClassifier(network, 1.0, mirrored=False)
    images, classes, _ = paint_squares(256, 0)
    adam = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(25):
        logits = network(prepare_batch(images, torch.device("cpu")))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(classes))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        adam.step()
    assert loss < 0.3, f"{name} has not learned: {loss}"
    return classifier


@pytest.mark.parametrize("name", ["simple", "stages", "resnet", "speed"])
def test_the_evidence_lies_in_the_corner_that_has_it(name: str) -> None:
    images, classes, corners = paint_squares(40, 1)
    heat = map_evidence(train(name), images, classes)
    assert heat is not None
    half = SIDE // 2
    parts = heat.reshape(len(images), 2, half, 2, half).sum((2, 4)).reshape(-1, 4)
    assert (parts.argmax(1) == corners).mean() > 0.9
    own = parts[np.arange(len(images)), corners] / parts.sum(1)
    assert own.mean() > 0.45  # a map without knowledge has a quarter there


def test_behind_a_global_mean_it_is_the_class_activation_map() -> None:
    """As Zhou et al. (2016) compute it: the weights of the class over the filters' answers."""
    torch.manual_seed(1)
    conv, last = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5, 4)
    network = nn.Sequential(conv, nn.ReLU(inplace=True), GlobalMean(), last)
    pixels = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    classes = np.arange(11) % 4
    heat = map_evidence(PixelClassifier(network, 2.0, mirrored=False), pixels, classes)
    with torch.inference_mode():
        seen = conv(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).relu()
        found = torch.einsum("nchw,nc->nhw", seen, last.weight[classes]).relu()
        found /= found.amax((1, 2), keepdim=True).clamp_min(1e-12)
    assert heat is not None
    np.testing.assert_allclose(heat, found.numpy(), atol=1e-5)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (17, 3)])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_map(name: str, size: int, channels: int) -> None:
    torch.manual_seed(0)
    network = make_model(make_network_settings(name), Shape(channels, size, 4))
    check_maps(network, size, channels)


def check_maps(network: nn.Module, size: int, channels: int = 3) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, size, size, channels), dtype=np.uint8)
    before = [len(layer._forward_hooks) for layer in network.modules()]
    heat = map_evidence(PixelClassifier(network, 1.0, mirrored=True), pixels, np.arange(9) % 4)
    assert heat is not None and heat.shape == (9, size, size) and heat.dtype == np.float32
    assert np.isfinite(heat).all() and heat.min() >= 0
    assert set(np.round(heat.max((1, 2)), 4).tolist()) <= {0.0, 1.0} and heat.max() == 1
    assert torch.is_grad_enabled() and all(weight.grad is None for weight in network.parameters())
    assert [len(layer._forward_hooks) for layer in network.modules()] == before


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("vit_tiny_patch16_224", "blocks.1.norm1"),
        ("vit_dlittle_patch16_reg1_gap_256", "norm"),
        ("test_resnet", "layer4"),
        ("test_convnext", "norm_pre"),
    ],
)
def test_backbones_have_maps(name: str, layer: str) -> None:
    """A class token is read behind the last block, where no other token's output has a gradient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's imports warn
        import timm

    torch.manual_seed(0)
    more: dict[str, Any] = {"img_size": 96, "depth": 2} if "vit" in name else {}
    body = timm.create_model(name, num_classes=0, **more)
    pixel = PixelBackbone(body, 96, (0.5,) * 3, (0.5,) * 3)
    with torch.inference_mode():
        width = pixel.eval().see(torch.zeros(1, 3, 96, 96)).shape[1]
    network = TunedNetwork(pixel, make_head(width, 4, HeadSettings())).eval()
    check_maps(network, 96)
    assert find_layer(network, torch.zeros(1, 3, 96, 96)) is body.get_submodule(layer)


def test_a_network_without_places_has_no_map(predictor: Predictor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    classifier = PixelClassifier(network, 1.0, mirrored=False)
    pixels = np.zeros((1, 8, 8, 1), np.uint8)
    assert map_evidence(classifier, pixels, np.array([0])) is None
    bare = Predictor(predictor.args, lambda count: None, None, classifier)  # type: ignore[arg-type, return-value]
    found = explain_image(bare, list_items(pixels)[0])
    assert found.heat is None and found.neighbours == () and not found.unlike
    assert draw_overlay(found, 20).size == (20, 20)
    assert draw_poster(found).startswith(b"\x89PNG")


def test_it_says_what_the_predictor_says(predictor: Predictor, photos: Path) -> None:
    for item in list_items(photos)[::3]:
        found, answers = explain_image(predictor, item), predictor(item.name)
        np.testing.assert_allclose(found.probabilities, answers.probabilities[0], atol=1e-5)
        assert found.label == found.heated == answers.labels[0] and found.name == item.name
        assert answers.unlike is not None
        assert (found.unlike, found.odd) == (answers.unlike[0], answers.odd[0])
        distances = [near.distance for near in found.neighbours]
        assert len(distances) == 5 and distances == sorted(distances)
        assert (
            found.neighbours[0].label
            == found.classes[
                int(predictor.reference.labels[found.neighbours[0].place])  # type: ignore[union-attr]
            ]
        )
    three = explain_image(predictor, item, "3")
    assert three.heated == "3" and three.label == found.label
    assert three.heat is not None and found.heat is not None
    assert not np.array_equal(three.heat, found.heat)


def test_what_cannot_be_explained_is_said(predictor: Predictor, photos: Path) -> None:
    item = list_items(photos)[0]
    with pytest.raises(SettingError, match="must be a class of the model, but got 'three'"):
        explain_image(predictor, item, "three")
    with pytest.raises(DataError, match=r"bad.png cannot be explained: not an image"):
        explain_image(predictor, Item("bad.png", BytesContent(b"no")))
    exported = Predictor(predictor.args, lambda count: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(SettingError, match="an exported file has not; give the study"):
        explain_image(exported, item)


@pytest.mark.parametrize("channels", [1, 3])
def test_long_names_fit_the_poster(channels: int) -> None:
    name = "Boletus edulis, the penny bun of European and North American forests and " * 3
    shares = np.array([0.7, 0.3, 0.0], np.float32)
    heat, pixels = np.zeros((9, 9), np.float32), np.zeros((9, 9, channels), np.uint8)
    found = Explanation(
        f"{name}\x1b[31m\n.jpg",
        (name, "x" * 300, "日本"),
        pixels,
        shares,
        name,
        heat,
        (),
        True,
        True,
    )
    with Image.open(io.BytesIO(draw_poster(found))) as picture:
        assert picture.width == 1800 and 700 < picture.height < 1400
        edge = np.asarray(picture.convert("L"))[:, -40:]
    assert edge.min() == 255, "nothing is drawn on the margin"


def test_the_command_writes_a_picture(
    handed: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    image = str(next((photos / "7").glob("*.png")))
    assert main(["explain", str(handed), image]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{image}: ") and " %, " in said[0]
    assert said[1].startswith("most like images of ")
    assert said[-1] == "picture: explanation.png"
    with Image.open("explanation.png") as picture:
        assert picture.width == 1800
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(handed)
    assert main(["explain", image, "--class", "2", "--out", "two.png", "--json"]) == 0
    out, error = capsys.readouterr()
    found = json.loads(out)
    assert "with the model of runs/mine, the newest study here" in error
    assert found["evidence_for"] == "2" and found["picture"] == "two.png"
    assert len(found["probabilities"]) == len(found["nearest"]) == 5


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["{photos}"], "explain takes one image, but"),
        (["{photos}/7", "--out", "a.jpg"], "--out must be a .png file, but got a.jpg"),
        (["nowhere.png"], "nowhere.png is not"),
        (["a", "b"], "but got 3 names"),
    ],
)
def test_other_arguments_are_refused(
    more: list[str], said: str, handed: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [part.format(photos=photos) for part in more]
    assert main(["explain", str(handed), *given]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
