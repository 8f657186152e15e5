"""Pretrained backbones: a timm name, a folder, the hub, or the packaged one.

A backbone takes (n, h, w, channels) uint8 pixels and gives (n, features) float32: conversion,
resizing and scaling are part of the network, so that every engine runs the same preprocessing.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tellapart.errors import BackboneError
from tellapart.models.packaged import PACKAGE, PACKAGED, load_packaged
from tellapart.models.weights import import_timm, locate_weights, read_network
from tellapart.workspace import locate_cache


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
        features = self.network((images - self.mean) / self.std)
        assert isinstance(features, torch.Tensor)
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
    """Build a backbone with its pretrained weights.

    Args:
        name: ``PACKAGED``, any timm name, ``hf-hub:...`` or ``local-dir:<folder>``.
        fetch: whether weights that are not cached may be fetched.

    Raises:
        BackboneError: no such name, or its weights cannot be had here, do not fit, or are not
            finite numbers.
    """
    network, cfg = load_packaged() if name == PACKAGED else read_network(name, fetch)
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
        features=_measure(name, pixel, "take another backbone"),
        parameters=sum(p.numel() for p in network.parameters()),
        key=_hash_network(pixel, architecture),
        fixed=bool(cfg.get("fixed_input_size", False)),
        architecture=architecture,
    )


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
    width = _measure(backbone.name, pixel, "use a larger --image-size")
    key = _hash_network(pixel, backbone.architecture)
    return replace(backbone, network=pixel, features=width, key=key)


def measure_width(network: PixelBackbone) -> int:
    """Return the number of features, from one blank image: some families widen them late.

    Raises:
        ValueError: what comes out is not one row of finite numbers.
    """
    with torch.inference_mode():
        blank = torch.zeros(1, network.size, network.size, 3, dtype=torch.uint8)
        features = network(blank)
    if features.ndim != 2:
        raise ValueError(f"an image must give a row of features, but gave {tuple(features.shape)}")
    if not features.isfinite().all():
        raise ValueError("a blank image must give finite features, but some are not")
    return int(features.shape[1])


def _measure(name: str, network: PixelBackbone, remedy: str) -> int:
    try:
        return measure_width(network)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise BackboneError(
            f"--backbone {name} cannot take images of {network.size} px "
            f"({textwrap.shorten(str(error), 100)}); {remedy}"
        ) from error


def list_here() -> tuple[str, ...]:
    """Return the backbones that need no network: the packaged one, and those that are cached.

    They lie in ``weights`` in tellapart's cache, a folder for each, or in the hub's own cache.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = [path for path in sorted((locate_cache() / "weights").glob("*")) if _is_whole(path)]
    here = {path.name: f"local-dir:{path}" for path in folders}
    known = import_timm().list_pretrained()
    for path in sorted(Path(HF_HUB_CACHE).glob("models--timm--*/snapshots/*/model.safetensors")):
        name = path.parents[2].name.removeprefix("models--timm--")
        if name in known:
            here.setdefault(name, name)
    return (PACKAGED, *here.values())


def _is_whole(folder: Path) -> bool:
    return all((folder / file).is_file() for file in ("config.json", "model.safetensors"))


def _hash_network(network: PixelBackbone, architecture: dict[str, Any]) -> str:
    """Return a hash of all that features depend on: how the network is built, and its tensors."""
    built = json.dumps(architecture, sort_keys=True, default=str)
    digest = hashlib.sha256(
        f"{built} {network.size} {network.mean.tolist()} {network.std.tolist()}".encode()
    )
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
