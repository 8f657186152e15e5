from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tellapart.errors import BackboneError
from tellapart.models.backbone import PixelBackbone, make_backbone

from .weights import change_weights, save_weights

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
TINY = "test_resnet"


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in timm's form, with a network of timm's that is made for tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in the source: timm's imports warn
        import timm

    torch.manual_seed(0)
    network = timm.create_model(TINY, num_classes=0)
    folder = tmp_path_factory.mktemp("weights") / TINY
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    card = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 0}
    card |= {"license": "mit"}
    text = json.dumps({"architecture": TINY, "num_classes": 0, "pretrained_cfg": card})
    (folder / "config.json").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_weights_is_a_backbone(tiny_folder: Path) -> None:
    backbone = make_backbone(f"local-dir:{tiny_folder}")
    assert (backbone.name, backbone.source, backbone.license) == (TINY, "folder", "mit")
    assert backbone.image_size == 64
    state = load_file(tiny_folder / "model.safetensors")
    learned = [name for name in state if "running" not in name and "batches" not in name]
    assert backbone.parameters == sum(state[name].numel() for name in learned)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = backbone.network(pixels)
        expected = backbone.network.network((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    assert found.shape == (3, backbone.features)
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_key_tells_weights_and_preprocessing(tiny_folder: Path, tmp_path: Path) -> None:
    first = make_backbone(f"local-dir:{tiny_folder}").key
    assert make_backbone(f"local-dir:{tiny_folder}").key == first
    weights = Path(shutil.copytree(tiny_folder, tmp_path / "weights"))
    assert make_backbone(f"local-dir:{weights}").key == first
    config = (weights / "config.json").read_text("utf-8")
    (weights / "config.json").write_text(config.replace("64", "96"), encoding="utf-8")
    assert make_backbone(f"local-dir:{weights}").key != first
    (weights / "config.json").write_text(config, encoding="utf-8")
    state = load_file(weights / "model.safetensors")
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    state[name].view(-1)[0] += 1e-3
    save_file(state, weights / "model.safetensors")
    assert make_backbone(f"local-dir:{weights}").key != first


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(missing: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "weights"))
    (folder / missing).unlink()
    with pytest.raises(BackboneError, match=rf"{folder / missing} does not exist"):
        make_backbone(f"local-dir:{folder}")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def narrow(path: Path) -> None:
    state = load_file(path)
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    save_file(state | {name: state[name][:-1].contiguous()}, path)


@pytest.mark.parametrize("damage", [cut_short, narrow])
def test_weights_that_do_not_fit_are_refused(
    damage: Callable[[Path], None], tiny_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "weights"))
    damage(folder / "model.safetensors")
    with pytest.raises(BackboneError, match=r"do not fit their config.json"):
        make_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"model_type": "bert"}', r"image network of timm.*\(model type: bert\)"),
        ("[]", r"\(model type: unknown\)"),
        ("{", "config.json cannot be read"),
        ('{"architecture": "test_convnext"}', "not those of a test_convnext"),
    ],
)
def test_what_is_no_image_network_is_refused(
    config: str, said: str, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "weights"))
    (folder / "config.json").write_text(config)
    with pytest.raises(BackboneError, match=said):
        make_backbone(f"local-dir:{folder}")


def test_an_unknown_timm_name_is_refused_with_near_ones() -> None:
    with pytest.raises(BackboneError, match=r"'mobilenetv2_10'; near it are .*mobilenetv2_100"):
        make_backbone("mobilenetv2_10")


def test_preprocessing_is_part_of_the_network() -> None:
    """An image resized by the backbone gives what the image resized by PIL's rule would."""
    backbone = PixelBackbone(nn.Flatten(), 4, [0.5, 0.25, 0.0], [0.5, 0.25, 1.0])
    pixels = torch.randint(0, 256, (2, 2, 2, 3), dtype=torch.uint8)
    found = backbone(pixels).view(2, 3, 4, 4).numpy()
    # twice the side: bilinear with half-pixel centres reads at -0.25, 0.25, 0.75, 1.25
    weights = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    resized = np.einsum("ih,nhwc,jw->ncij", weights, pixels.numpy() / 255, weights)
    mean, std = np.array([[0.5, 0.25, 0.0], [0.5, 0.25, 1.0]])[:, None, :, None, None]
    assert found == pytest.approx((resized - mean) / std, abs=1e-5)


def test_a_grey_image_is_one_of_three_equal_channels() -> None:
    backbone = PixelBackbone(nn.Flatten(), 4, [0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    grey = torch.randint(0, 256, (2, 4, 4, 1), dtype=torch.uint8)
    assert torch.equal(backbone(grey), backbone(grey.repeat(1, 1, 1, 3)))


@pytest.mark.parametrize("name", ["mobilenetv2_035.keras_in1k", "mobilenetv2_100.keras_in1k"])
def test_real_weights_load(name: str) -> None:
    if not (WEIGHTS / name).is_dir():
        pytest.skip(f"the folder ../shared/weights/{name} beside the repository is absent")
    backbone = make_backbone(f"local-dir:{WEIGHTS / name}")
    assert backbone.features == 1280
    assert (backbone.name, backbone.image_size, backbone.license) == (name, 224, "apache-2.0")
    with torch.inference_mode():
        features = backbone.network(torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8))
    assert features.shape == (1, 1280)
    assert features.isfinite().all()


def test_width_is_what_comes_out_not_what_the_model_says(tmp_path: Path) -> None:
    backbone = make_backbone(save_weights(tmp_path / "w", "mobilenetv4_conv_small_050"))
    assert backbone.features == 1280 != backbone.network.network.num_features


def test_a_backbone_is_built_once_while_its_files_do_not_change(tmp_path: Path) -> None:
    name = save_weights(tmp_path / "w")
    first = make_backbone(name)
    assert make_backbone(name) is first
    change_weights(tmp_path / "w", lambda state: state["bn2.bias"].add_(1))
    assert make_backbone(name).key != first.key
    with pytest.raises(BackboneError, match="only names of timm's list"):
        make_backbone(name, fetch=False)
