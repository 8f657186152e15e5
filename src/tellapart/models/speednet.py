"""A network for small images that reaches a high accuracy in few epochs.

After the ideas of those who hold the records of training speed on CIFAR-10 (Page 2018; Jordan 2024,
arXiv 2404.00498): a first layer that whitens small patches and is computed, not trained; pooling
before anything costly; convolutions that start as the identity; batch normalisation without a
scale; a global maximum; a linear head with a fixed scale.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tellapart.config import ModelSettings
from tellapart.errors import SettingError
from tellapart.models.pool import max_pool
from tellapart.models.shape import Shape

PAIRS = 12
"""Patch components that are kept, each with both signs."""
WIDEN = 4
"""Filters of the later groups over those of the first."""
LARGE = 48
"""From this side in pixels on, the whitening takes every second patch."""


PART = 100
"""Images whose patches are in memory at once."""


class Whiten(nn.Conv2d):
    """Whitened patches, each component with both signs; the bias alone is trained.

    Before :meth:`fit` the filters are random, so that a network can be built without data.
    """

    def __init__(self, channels: int, stride: int) -> None:
        side = 2 * stride
        pairs = min(PAIRS, channels * side * side)
        super().__init__(channels, 2 * pairs, side, stride=stride)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: torch.Tensor) -> None:
        """Set the filters from images, (n, channels, side, side) floats.

        The eigenvectors of the patches' covariance, each divided by the root of its eigenvalue;
        a small share of the mean eigenvalue is added, so that flat images divide by no zero.
        """
        (side, _), (stride, _) = self.kernel_size, self.stride
        width, device = self.weight[0].numel(), images.device
        total = torch.zeros(width, dtype=torch.float64, device=device)
        squares = torch.zeros(width, width, dtype=torch.float64, device=device)
        count = 0
        for some in torch.split(images, PART):  # all patches at once would take gigabytes
            patches = functional.unfold(some, side, stride=stride).double()
            patches = patches.transpose(1, 2).reshape(-1, width)
            total += patches.sum(0)
            squares += patches.T @ patches
            count += len(patches)
        mean = total / count
        values, vectors = torch.linalg.eigh(squares / count - torch.outer(mean, mean))
        values, vectors = values.flip(0), vectors.flip(1)
        scale = (values.clamp_min(0) + 5e-4 * values.mean().clamp_min(1e-8)).rsqrt()
        half = (vectors * scale).T[: self.out_channels // 2]
        filters = torch.cat([half, -half])
        assert self.bias is not None
        self.weight.copy_(filters.view_as(self.weight))
        self.bias.copy_(-(filters @ mean))


class Group(nn.Module):
    """Convolutions of one width; the first is followed by pooling, the rest keep the size."""

    def __init__(self, channels: int, width: int, convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width if number else channels, width, 3, padding=1, bias=False)
            for number in range(convs)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, momentum=0.4) for _ in range(convs))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            start_as_identity(conv)
            norm.weight.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            images = conv(images)
            if number == 0:
                images = max_pool(images)
            images = functional.gelu(norm(images))
        return images


class Scale(nn.Module):
    """Divide by a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values / self.by


class Peak(nn.Module):
    """(n, c, h, w) to (n, c): the largest answer of each filter."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.amax((2, 3))


def make_speed(settings: ModelSettings, shape: Shape) -> nn.Module:
    """Return the network: ``width`` filters in its first group, ``convs`` in each.

    Groups follow from the image size: they halve it until it is below 4 px. Images of ``LARGE``
    px and more are halved by the first layer already.

    Raises:
        SettingError: the images are smaller than 4 px.
    """
    if shape.size < 4:
        raise SettingError(f"model speed needs images of at least 4 px, but got {shape.size}")
    stride = 2 if shape.size >= LARGE else 1
    first = Whiten(shape.channels, stride)
    layers: list[nn.Module] = [first, nn.GELU()]
    channels, width, side = first.out_channels, settings.width, shape.size // stride - 1
    while True:
        layers.append(Group(channels, width, settings.convs))
        channels, width, side = width, WIDEN * settings.width, side // 2
        if side < 4:
            break
    head = nn.Linear(channels, shape.classes, bias=False)
    with torch.no_grad():
        nn.init.normal_(head.weight)
    return nn.Sequential(*layers, Peak(), Scale(channels**0.5), head)


def start_as_identity(conv: nn.Module) -> None:
    """Make the first filters of a convolution hand their inputs on; the others stay random."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[: conv.in_channels])
