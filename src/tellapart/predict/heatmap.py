"""Where in an image the evidence for a class lies, by the gradients of the last layer that sees."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from tellapart.data.dataset import Indices, Pixels
from tellapart.models.forward import prepare_batch
from tellapart.predict.network import PixelClassifier
from tellapart.stop import check_stop

BATCH = 8
"""Images whose gradients are in memory at once."""


def map_evidence(
    network: PixelClassifier, pixels: Pixels, classes: Indices
) -> NDArray[np.float32] | None:
    """Return (k, size, size) in 0 to 1: where each image speaks for the class of that place.

    Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) on the output of the last layer whose output
    has a width and a height, or tokens of patches; each place with its own gradient, not their mean
    (Draelos and Carin 2020, arXiv 2011.08891). The two are one where a global mean follows. Where
    dense layers do, the mean says little: for `simple` on digits it was flat on 16 % of the images
    and otherwise had nothing to do with what covering a place changes. None where no layer has a
    width; all 0 where nothing speaks for the class. A network is asked by one thread at a time.

    Raises:
        Interrupted: a stop was asked for.
    """
    device = next(network.parameters()).device
    body, size = network.network, pixels.shape[1]
    layer = find_layer(body, torch.zeros(1, pixels.shape[3], size, size, device=device))
    if layer is None:
        return None
    found = []
    for first in range(0, len(pixels), BATCH):
        check_stop()
        images = prepare_batch(pixels[first : first + BATCH], device)
        places = torch.from_numpy(classes[first : first + BATCH]).to(device)
        maps = _map(body, layer, images, places)
        if network.mirrored:
            maps = maps + _map(body, layer, images.flip(3), places).flip(2)
        maps = functional.interpolate(
            functional.relu(maps)[:, None], (size, size), mode="bilinear", align_corners=False
        )[:, 0]
        maps = maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)
        found.append(maps.cpu().numpy())
    return np.concatenate(found)


def find_layer(network: nn.Module, blank: torch.Tensor) -> nn.Module | None:
    """Return the last layer whose output has places that the features depend on, by one image.

    The class token of a transformer alone is read behind its last block, so that no other token's
    output there has a gradient: it is the last layer before whose has one.
    """
    seen: list[tuple[nn.Module, torch.Tensor]] = []

    def look(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and _arrange(network, output) is not None:
            seen.append((layer, output))

    hooks = [layer.register_forward_hook(look) for layer in network.modules()]
    try:
        with torch.enable_grad():
            logits = network(blank.requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        return None
    shape = seen[-1][1].shape
    alike = [(layer, output) for layer, output in seen if output.shape == shape]
    if len(shape) == 4:
        return alike[-1][0]
    weights = torch.linspace(-1, 1, logits.shape[1], device=logits.device)
    outputs = [output for _, output in alike]
    gradients = torch.autograd.grad((logits * weights).sum(), outputs, allow_unused=True)
    for (layer, _), gradient in zip(reversed(alike), reversed(gradients), strict=True):
        places = None if gradient is None else _arrange(network, gradient)
        if places is not None and bool(places.any()):
            return layer
    return None


def _map(
    network: nn.Module, layer: nn.Module, images: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Return (k, h, w): how much each place of a layer's output speaks for an image's class."""
    seen: list[torch.Tensor] = []

    def cut(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor | None:
        if _arrange(network, output) is None:
            return None
        torch.set_grad_enabled(True)  # from here on: what lies before needs no gradients
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()  # what follows may change it in place

    hook = layer.register_forward_hook(cut)
    try:
        with torch.no_grad():  # restores what was, behind
            logits = network(images)
    finally:
        hook.remove()
    chosen = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, seen[-1])
    values, slopes = _arrange(network, seen[-1].detach()), _arrange(network, gradient)
    assert values is not None and slopes is not None
    return (slopes * values).sum(1)


def _arrange(network: nn.Module, output: torch.Tensor) -> torch.Tensor | None:
    """Return an output as (n, width, side, side) with a side above 1; None where it has none."""
    if output.ndim == 4:
        if output.shape[2] == output.shape[3] > 1:
            return output
        return output.permute(0, 3, 1, 2) if output.shape[1] == output.shape[2] > 1 else None
    if output.ndim != 3:
        return None
    body = getattr(getattr(network, "body", None), "network", network)
    tokens = output.shape[1]
    before = int(getattr(body, "num_prefix_tokens", tokens - isqrt(tokens) ** 2))
    side = isqrt(max(0, tokens - before))
    if side < 2 or side * side != tokens - before:
        return None
    return output[:, before:].transpose(1, 2).reshape(len(output), -1, side, side)
