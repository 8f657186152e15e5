"""Layers of the networks that torch does not have, and how weights start."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from tellapart.config import HeadSettings

LEVELS = 256
"""On CPUs, the share that dropout drops is one of so many, plus one."""
PAIRS = 12
"""Patch components that whitening keeps, each with both signs."""
PART = 100
"""Images whose patches are in memory at once."""


class Flatten(nn.Module):
    """(n, c, h, w) to (n, h*w*c): for channels-last memory a view, and the order Keras has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class GlobalMean(nn.Module):
    """(n, c, h, w) to (n, c). Its gradient is a view, so that it stays channels-last."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum((2, 3)) / (images.shape[2] * images.shape[3])


class Peak(nn.Module):
    """(n, c, h, w) to (n, c): the largest answer of each filter."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.amax((2, 3))


class Scale(nn.Module):
    """Divide by a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values / self.by


class Dropout(nn.Dropout):
    """Set a share of ``p`` of all numbers to 0 in training, and scale the others up.

    Srivastava et al. (2014), JMLR 15:1929. PyTorch draws each number's fate by itself, in one
    thread: at a head of 2,048 units that took two fifths of a training step. On a CPU a byte is
    drawn for each here, so that the share is rounded to whole 256ths.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped:
            return input
        if input.device.type != "cpu" or dropped == LEVELS:
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: input.numel()].view(input.shape)
        kept = (drawn >= dropped).to(input.dtype)
        return input * kept.mul_(LEVELS / (LEVELS - dropped))


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

        The eigenvectors of the patches' covariance, each over the root of its eigenvalue, to which
        a small share of the mean one is added, so that flat images divide by no zero.
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
    """Convolutions of one width; the first is followed by pooling, the rest keep the size.

    The first filters of each hand its inputs on as training begins; the others are random.
    """

    def __init__(self, channels: int, width: int, convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width if number else channels, width, 3, padding=1, bias=False)
            for number in range(convs)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, momentum=0.4) for _ in range(convs))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            assert isinstance(conv, nn.Conv2d)
            with torch.no_grad():
                nn.init.dirac_(conv.weight[: conv.in_channels])
            norm.weight.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            images = conv(images)
            if number == 0:
                images = functional.max_pool2d(images, 2)
            images = functional.gelu(norm(images))
        return images


class Residual(nn.Module):
    """Two convolutions, and what went in added to what comes out of them.

    Where there are more filters than before, the image is halved, and what went in with it.
    """

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        stride = 1 if before == width else 2
        self.main = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            conv = nn.Conv2d(before, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(images) + self.shortcut(images))


class Standardize(nn.Module):
    """Features less their mean, over their standard deviation, both of the training images."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) * self.scale


def make_dense(features: int, units: int, classes: int, dropout: float = 0.0) -> list[nn.Module]:
    """Return a dense layer (none for 0 units), dropout where there is any, and the last layer."""
    layers: list[nn.Module] = [nn.Linear(features, units), nn.ReLU()] if units else []
    layers += [Dropout(dropout)] if dropout else []
    return [*layers, nn.Linear(units or features, classes)]


def make_head(features: int, classes: int, settings: HeadSettings) -> nn.Sequential:
    """Return what comes behind the features of a backbone: standardisation, and dense layers."""
    dense = make_dense(features, settings.dense, classes, settings.dropout)
    return nn.Sequential(Standardize(features), *dense)


def initialize(network: nn.Module) -> nn.Module:
    """Glorot-uniform weights and zero biases (Glorot and Bengio 2010), as Keras starts."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def adapt_model(network: nn.Module, read_images: Callable[[], torch.Tensor]) -> None:
    """Compute what a network takes from the images alone, before it is trained.

    ``read_images`` gives (n, channels, side, side) floats in [0, 1] on the network's device; it is
    called only if the network looks at them.
    """
    for layer in network.modules():
        if isinstance(layer, Whiten):
            layer.fit(read_images())
