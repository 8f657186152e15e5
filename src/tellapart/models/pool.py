"""A convolution and the max-pooling after it, done for a few images at a time.

What a wide convolution gives is far larger than what goes into it or what is left after pooling:
at 1024 filters 3.7 MB an image. Where a whole batch goes through at once, all of it travels to
main memory and back several times. Here it stays in the processor's cache: it is pooled at once,
and what the backward pass needs of it is only where each maximum was.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

CACHED_BYTES = 4_000_000
"""What the convolution of the images at work may take: about a processor's private caches.

Up to twice that goes through as a whole: cutting it up was measured to gain nothing.
"""
SHORT = 2**15
"""Places up to which two bytes hold the place of a maximum."""


class PooledConv(nn.Conv2d):
    """(n, c, h, w) to (n, width, h // 2, w // 2), less what is not padded: 3x3 conv, 2x2 max-pool.

    The numbers are those of `torch.nn.Conv2d` and `torch.nn.MaxPool2d` in turn, and the names of
    the weights are the convolution's. No second derivative.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self._overflows(images):
            return functional.max_pool2d(super().forward(images), 2)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            images, weight = images.to(kind), weight.to(kind)
            bias = None if bias is None else bias.to(kind)
        padding = cast("tuple[int, int]", self.padding)[0]
        pooled: torch.Tensor = _PooledConv.apply(images, weight, bias, padding)
        return pooled

    def _overflows(self, images: torch.Tensor) -> bool:
        """Return whether the batch is worth cutting up: too large for the cache, on a CPU."""
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype
        size = images[:, 0].numel() * self.out_channels * kind.itemsize
        return size > 2 * CACHED_BYTES and images.is_contiguous(memory_format=torch.channels_last)


class _PooledConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        padding: int,
    ) -> torch.Tensor:
        count, width = len(images), len(weight)
        side = [length + 2 * padding - weight.shape[2] + 1 for length in images.shape[2:]]
        places = side[0] * side[1]
        chunk = max(1, CACHED_BYTES // (places * width * images.element_size()))
        shape = (count, width, side[0] // 2, side[1] // 2)
        pooled = torch.empty(shape, dtype=images.dtype, memory_format=torch.channels_last)
        kept = torch.int16 if places < SHORT else torch.int32
        where = torch.empty_like(pooled, dtype=kept)
        for start in range(0, count, chunk):
            part = slice(start, start + chunk)
            with torch.autocast("cpu", enabled=False):
                found = functional.conv2d(images[part], weight, bias, padding=padding)
            most, at = functional.max_pool2d_with_indices(found, [2, 2])
            pooled[part] = most
            where[part] = at
        ctx.save_for_backward(images, weight, where)
        ctx.form, ctx.chunk, ctx.padding = (width, *side), chunk, padding
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight, where = ctx.saved_tensors
        (grad,) = grads
        wants = ctx.needs_input_grad
        inputs = torch.empty_like(images) if wants[0] else None
        weights = torch.zeros_like(weight, dtype=torch.float32)
        for start in range(0, len(images), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            some = grad[part]
            blank = torch.empty(
                (len(some), *ctx.form), dtype=some.dtype, memory_format=torch.channels_last
            )
            spread = torch.ops.aten.max_pool2d_with_indices_backward(
                some, blank, [2, 2], [2, 2], [0, 0], [1, 1], False, where[part].long()
            )
            mine, own, _ = torch.ops.aten.convolution_backward(
                spread, images[part], weight, None, [1, 1], [ctx.padding] * 2, [1, 1], False,
                [0, 0], 1, [wants[0], True, False],
            )  # fmt: skip
            weights += own
            if inputs is not None:
                inputs[part] = mine
        bias = grad.sum((0, 2, 3)) if wants[2] else None
        return inputs, weights.to(weight.dtype), bias, None
