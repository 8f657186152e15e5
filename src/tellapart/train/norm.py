"""Batch normalisation over the whole batch, where several processes have a share of it each.

Torch's own ``SyncBatchNorm`` does the same on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tellapart.train.ranks import sum_tensor


class SharedNorm(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`, with the mean and variance of all ranks' images together.

    All ranks must go through it together, forward and backward; one may have no images.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(images)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        found, mean, variance, count = _Normalize.apply(images, self.eps)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scaled: torch.Tensor = found * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.to(images.dtype)


class _Normalize(torch.autograd.Function):
    """(n, c, h, w) to the same with mean 0 and variance 1 in each channel, over all ranks.

    The variance is of the distances to the mean, in a second pass: the mean of the squares less
    the square of the mean would lose digits.
    """

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, eps: float) -> tuple[torch.Tensor, ...]:
        images = images.float()
        pixels = images.new_tensor([images.numel() // images.shape[1]])
        sums = torch.cat([images.sum((0, 2, 3)), pixels])
        sum_tensor(sums)
        count, mean = sums[-1], sums[:-1] / sums[-1]
        found = images - mean[:, None, None]
        squares = found.square().sum((0, 2, 3))
        sum_tensor(squares)
        variance = squares / count
        scale = (variance + eps).rsqrt()
        found *= scale[:, None, None]
        ctx.save_for_backward(found, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return found, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        found, scale, count = ctx.saved_tensors
        grad = grads[0]
        sums = torch.cat([grad.sum((0, 2, 3)), (grad * found).sum((0, 2, 3))])
        sum_tensor(sums)
        mean, along = (sums / count)[:, None, None].chunk(2)
        return (grad - mean - found * along) * scale[:, None, None], None


def share_norms(network: nn.Module) -> None:
    """Let every batch normalisation of a network look at the images of all ranks.

    Weights, statistics and their names stay as they are.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.BatchNorm2d:
                shared = SharedNorm(layer.num_features, layer.eps, layer.momentum)
                shared.weight, shared.bias = layer.weight, layer.bias
                shared.running_mean, shared.running_var = layer.running_mean, layer.running_var
                shared.num_batches_tracked = layer.num_batches_tracked
                parent.add_module(name, shared)
