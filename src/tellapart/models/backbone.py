"""Pretrained backbones: a timm name, a folder, the hub, or the packaged one.

A backbone takes (n, h, w, channels) uint8 pixels and gives (n, features) float32: conversion,
resizing and scaling are part of the network, so that every engine runs the same preprocessing.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import textwrap
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tellapart.errors import BackboneError
from tellapart.models.packaged import PACKAGE, PACKAGED, import_timm, load_packaged
from tellapart.workspace import expand_path, locate_cache


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

    ``key`` names its weights and preprocessing; ``fixed`` ones take images of one size alone.
    ``architecture`` has its ``name``, which is timm's, and the ``settings`` of that.
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


def make_backbone(name: str) -> Backbone:
    """Build a backbone with its pretrained weights.

    Args:
        name: ``PACKAGED``, any timm name, ``hf-hub:...`` or ``local-dir:<folder>``.

    Raises:
        BackboneError: no such name, or its weights cannot be had here.
    """
    if name == "embedded":
        raise BackboneError(
            f"--backbone embedded is no longer a part of tellapart; use {PACKAGED}, the default, "
            "and train again what was trained on the old one"
        )
    network, cfg = load_packaged() if name == PACKAGED else _make_timm(name)
    size = int(cfg["input_size"][-1])
    pixel = PixelBackbone(network, size, cfg["mean"], cfg["std"]).eval()
    source = {"local-dir": "folder", "hf-hub": "hub"}.get(name.partition(":")[0], "timm")
    if name == PACKAGED:
        source = f"package {PACKAGE}"
    return Backbone(
        name=_locate(name).name if source == "folder" else name,
        source=source,
        license=str(cfg.get("license") or "not stated"),
        network=pixel,
        features=measure_width(pixel),
        parameters=sum(p.numel() for p in network.parameters()),
        key=_hash_network(pixel),
        fixed=bool(cfg.get("fixed_input_size", False)),
        architecture={"name": cfg["architecture"], "settings": cfg["model_args"]},
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
    try:
        width = measure_width(pixel)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise BackboneError(
            f"--backbone {backbone.name} cannot take images of {size} px "
            f"({textwrap.shorten(str(error), 100)}); use a larger --image-size"
        ) from error
    return replace(backbone, network=pixel, features=width, key=_hash_network(pixel))


def measure_width(network: PixelBackbone) -> int:
    """Return the number of features, from one blank image: some families widen them late."""
    with torch.inference_mode():
        blank = torch.zeros(1, network.size, network.size, 3, dtype=torch.uint8)
        return int(network(blank).shape[1])


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


def _make_timm(name: str) -> tuple[nn.Module, dict[str, Any]]:
    scheme, _, rest = name.partition(":")
    if scheme == "local-dir":
        _check_folder(_locate(name), name)
        name = f"local-dir:{_locate(name)}"
    elif rest and scheme != "hf-hub":
        raise BackboneError(
            f"--backbone must be a timm name, local-dir:FOLDER or hf-hub:NAME, but got {name!r}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own imports warn of torch's deprecations
        import timm
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # a failure is said once, by us
        if ":" not in name and not timm.is_model(name.partition(".")[0]):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            raise BackboneError(
                f"--backbone must be a timm name, local-dir:FOLDER or hf-hub:NAME, but got "
                f"{name!r}" + (f"; near it are {', '.join(near)}" if near else "")
            )
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*") if "." in name else [name]
        if ":" not in name and name not in tags:
            raise BackboneError(
                f"--backbone {name}: timm has no such weights of {name.partition('.')[0]}, only "
                + (", ".join(tags) or "the network without weights")
            )
        try:
            network = timm.create_model(name, pretrained=True, num_classes=0)
        except Exception as error:  # the hub's many ways to say that there is no network
            raise BackboneError(_explain_failure(name, error)) from error
    cfg: dict[str, Any] = dict(network.pretrained_cfg)  # type: ignore[arg-type]  # a dict on timm models
    args: dict[str, Any] = dict(getattr(network, "_model_args", {}))
    args.pop("num_classes", None)
    return network, cfg | {"model_args": args}


def _locate(name: str) -> Path:
    """Return the folder of a ``local-dir:`` name, whole, so that ``.`` too has a name."""
    return expand_path(name.partition(":")[2]).resolve()


def _check_folder(folder: Path, name: str) -> None:
    for needed in ("config.json", "model.safetensors"):
        if not (folder / needed).is_file():
            raise BackboneError(
                f"--backbone {name} needs config.json and model.safetensors in that folder, but "
                f"{folder / needed} does not exist; put timm's files there"
            )
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"--backbone {name}: {folder / 'config.json'} cannot be read ({error}); put timm's "
            "file there"
        ) from error
    if not isinstance(config, dict) or "architecture" not in config:
        kind = config.get("model_type", "unknown") if isinstance(config, dict) else "unknown"
        raise BackboneError(
            f"--backbone {name} must be an image network of timm, but its config.json names no "
            f"architecture (model type: {kind}); take another backbone"
        )


def _explain_failure(name: str, error: Exception) -> str:
    cause = str(error).strip().splitlines()
    first = textwrap.shorten(cause[0], 160) if cause else type(error).__name__
    if name.startswith("local-dir:"):
        if "state_dict" in first:
            config = json.loads((_locate(name) / "config.json").read_text("utf-8"))
            first = f"they are not those of a {config['architecture']}"
        return (
            f"--backbone {name}: the weights do not fit their config.json ({first}); put the two "
            "files of one network there"
        )
    return (
        f"--backbone {name}: its weights are not cached and could not be fetched ({first}); on a "
        f"machine with a network run 'tellapart fetch --backbone {name}', or put config.json and "
        "model.safetensors into a folder and give --backbone local-dir:FOLDER"
    )


def _hash_network(network: PixelBackbone) -> str:
    digest = hashlib.sha256(
        f"{network.size} {network.mean.tolist()} {network.std.tolist()}".encode()
    )
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
