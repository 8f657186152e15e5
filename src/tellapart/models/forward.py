"""Run a network over images: one preprocessing, the same in training, evaluation, prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.data.loader import iterate_batches
from tellapart.device import Precision

CHUNK_BYTES, CHUNK = 192_000_000, 256
"""What the layers' outputs for one chunk of images may take, and the most images in one."""
GPU_SHARE, GPU_CHUNK = 0.25, 4096
"""On a GPU: the share of its free memory, and the most images."""


def prepare_batch(pixels: Pixels | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Turn (n, h, w, c) uint8 into (n, c, h, w) float32 in [0, 1], channels-last, on the device."""
    batch = torch.as_tensor(pixels, device=device).permute(0, 3, 1, 2)
    return batch.to(torch.float32).mul_(1 / 255)


def cast_forward(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which products run in ``precision`` and sums stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def has_norm(network: nn.Module) -> bool:
    """Return whether a network normalises over a batch, which must then go through as a whole.

    The norms of one that is fine-tuned are ``frozen`` at the statistics they came with.
    """
    return any(
        isinstance(layer, nn.BatchNorm2d) and not getattr(layer, "frozen", False)
        for layer in network.modules()
    )


def limit_chunk(network: nn.Module, dataset: Dataset, device: torch.device) -> int:
    """Return how many images may go through a network at once, a power of two.

    The outputs of all its layers together fit the room that there is.
    """
    most = GPU_CHUNK if device.type == "cuda" else CHUNK
    fit = max(1, measure_room(device) // measure_outputs(network, dataset, device))
    return min(most, 1 << (fit.bit_length() - 1))


def measure_room(device: torch.device) -> int:
    """Return the bytes that the layers' outputs for one chunk of images may take."""
    if device.type == "cuda":
        return int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    return CHUNK_BYTES


def measure_outputs(network: nn.Module, dataset: Dataset, device: torch.device) -> int:
    """Return the bytes of the outputs of all layers for one image, at two bytes a number."""
    sizes: list[int] = []

    def add(inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if output.data_ptr() != inputs[0].data_ptr():  # else a view, which takes no memory
            sizes.append(2 * output.numel())

    side = dataset.image_size
    send_blank(network, torch.zeros(1, dataset.channels, side, side, device=device), add)
    return sum(sizes)


def send_blank(network: nn.Module, blank: torch.Tensor, look: Callable[[Any, Any], None]) -> None:
    """Send a blank image through, and show each innermost layer's inputs and output."""
    layers = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(lambda _, *both: look(*both)) for layer in layers]
    training = network.training
    network.eval()
    with torch.inference_mode():
        network(blank)
    network.train(training)
    for hook in hooks:
        hook.remove()


def predict_logits(
    network: nn.Module,
    dataset: Dataset,
    rows: Indices,
    precision: Precision,
    mirrored: bool = False,
) -> NDArray[np.float32]:
    """Return (len(rows), classes) float32 logits, in the order of ``rows``, which may be none.

    ``mirrored``: the mean of those of each image and of its mirror image, left to right.
    """
    device = next(network.parameters()).device
    chunk = limit_chunk(network, dataset, device)
    network.eval()
    found = [np.empty((0, len(dataset.classes)), np.float32)]
    with torch.inference_mode():
        for pixels, _, _ in iterate_batches(dataset, rows, chunk):
            images = prepare_batch(pixels, device)
            with cast_forward(device, precision):
                logits = network(images).float()
                if mirrored:
                    logits = (logits + network(images.flip(3)).float()) / 2
            found.append(logits.cpu().numpy())
    return np.concatenate(found)
