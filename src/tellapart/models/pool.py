"""Max-pooling over 2 x 2 pixels, with the rectifier after it, and after a convolution of its own.

On a CPU the stock operators look at one number at a time and keep eight bytes for each maximum.
Here whole rows of channels-last memory are compared at once, and where a maximum was takes as many
bytes as the number itself. Where the rectifier follows, negative numbers are all the same, so
numbers are compared as the whole numbers that their bits spell: for positive ones the order is the
same, and a processor compares those fastest.

What a wide convolution gives is far larger than what goes into it or what is left after pooling:
at 1024 filters 3.7 MB an image. Where a whole batch goes through at once, all of it travels to
main memory and back several times; a few images at a time, it stays in the processor's cache.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from tellapart.models.patches import BITS, MOST_NUMBERS, PatchedConv

CACHED_BYTES = 4_000_000
"""What the convolution of the images at work may take: about a processor's private caches.

Up to twice that goes through as a whole: cutting it up was measured to gain nothing.
"""


def max_pool(images: torch.Tensor, rectify: bool = False) -> torch.Tensor:
    """(n, c, h, w) to (n, c, h // 2, w // 2): the largest of 2 x 2 pixels; ``rectify``: at least 0.

    The numbers and the gradient are those of `torch.nn.MaxPool2d(2)` and `torch.nn.ReLU` in turn,
    to the last bit. With ``rectify`` a number that is not one (NaN) beats negative numbers alone.
    No second derivative.
    """
    if is_ours(images):
        pooled: torch.Tensor = _MaxPool.apply(images, rectify)
        return pooled
    pooled = functional.max_pool2d(images, 2)
    return functional.relu(pooled) if rectify else pooled


def is_ours(images: torch.Tensor) -> bool:
    """Return whether images are pooled here: on a CPU, channels-last, and not to be exported."""
    return (
        images.device.type == "cpu"
        and images.dtype in BITS
        and images.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]  # not in stubs
    )


class MaxPool(nn.Module):
    """`max_pool` as a layer."""

    def __init__(self, rectify: bool = False) -> None:
        super().__init__()
        self.rectify = rectify

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return max_pool(images, self.rectify)


class PooledConv(nn.Conv2d):
    """(n, c, h, w) to (n, width, h // 2, w // 2), less what is not padded: conv, max-pool, ReLU.

    The numbers are those of the three stock layers in turn, and the names of the weights are the
    convolution's. No second derivative.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self._overflows(images):
            return max_pool(super().forward(images), rectify=True)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            images, weight = images.to(kind), weight.to(kind)
            bias = None if bias is None else bias.to(kind)
        padding = cast("tuple[int, int]", self.padding)[0]
        if bias is not None and weight[0].numel() < MOST_NUMBERS and not images.requires_grad:
            patched: torch.Tensor = PatchedConv.apply(images, weight, bias, padding)
            return patched
        pooled: torch.Tensor = _PooledConv.apply(images, weight, bias, padding)
        return pooled

    def _overflows(self, images: torch.Tensor) -> bool:
        """Return whether the batch is worth cutting up: too large for the cache, on a CPU."""
        if not is_ours(images):
            return False
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype
        size = images[:, 0].numel() * self.out_channels * kind.itemsize
        return kind in BITS and size > 2 * CACHED_BYTES


def find_largest(images: torch.Tensor, rectify: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest of 2 x 2 pixels and which of the four it was, the first of equals.

    Args:
        images: (n, h, w, c), contiguous; an odd row or column at the end is not looked at.

    Returns:
        Numbers, (n, h // 2, w // 2, c), and whole numbers 0 to 3 of as many bytes, row by row.
    """
    kind = BITS[images.dtype]
    images = images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2]
    if rectify:
        wide = torch.maximum(bits(images)[:, :, 0::2], bits(images)[:, :, 1::2])
        most = torch.maximum(wide[:, 0::2], wide[:, 1::2])
    else:
        found = torch.maximum(images[:, :, 0::2], images[:, :, 1::2])
        wide, most = bits(found), bits(torch.maximum(found[:, 0::2], found[:, 1::2]))
    right = torch.ne(bits(images)[:, :, 0::2], wide, out=torch.empty_like(wide, dtype=kind))
    below = torch.ne(wide[:, 0::2], most, out=torch.empty_like(most))
    above = right[:, 0::2]
    which = torch.sub(right[:, 1::2], above).mul_(below).add_(above).add_(below, alpha=2)
    largest = most.view(images.dtype)
    return (functional.relu_(largest) if rectify else largest), which


def rectify_gradient(grad: torch.Tensor, rectified: torch.Tensor) -> torch.Tensor:
    """Return a gradient where a rectifier let a number pass, and 0 elsewhere."""
    passed = torch.gt(bits(rectified), 0, out=torch.empty_like(rectified, dtype=BITS[grad.dtype]))
    return passed.mul_(bits(grad)).view(grad.dtype)


def spread_gradient(grad: torch.Tensor, which: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    """Return the gradient of the images before pooling, (n, h, w, c).

    Args:
        grad: of what was pooled, (n, h // 2, w // 2, c), contiguous.
        which: as of `find_largest`.
        side: (h, w).
    """
    count, rows, columns, channels = grad.shape
    spread = torch.empty((count, *side, channels), dtype=grad.dtype)
    spread[:, 2 * rows :] = 0
    spread[:, :, 2 * columns :] = 0
    given, share = bits(grad), torch.empty_like(which)
    for place in range(4):
        mine = bits(spread)[:, place // 2 : 2 * rows : 2, place % 2 : 2 * columns : 2]
        torch.mul(torch.eq(which, place, out=share), given, out=mine)
    return spread


def bits(numbers: torch.Tensor) -> torch.Tensor:
    """Return a view of numbers as the whole numbers that their bits spell."""
    return numbers.view(BITS[numbers.dtype])


def put_last(images: torch.Tensor) -> torch.Tensor:
    """Return (n, c, h, w) as contiguous (n, h, w, c): of channels-last memory a view."""
    return images.permute(0, 2, 3, 1).contiguous()


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, rectify: bool) -> torch.Tensor:
        largest, which = find_largest(put_last(images), rectify)
        pooled = largest.permute(0, 3, 1, 2)
        ctx.save_for_backward(which, pooled if rectify else None)
        ctx.side = tuple(images.shape[2:])
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        which, pooled = ctx.saved_tensors
        grad = put_last(grads[0])
        if pooled is not None:
            grad = rectify_gradient(grad, put_last(pooled))
        spread = spread_gradient(grad, which, ctx.side)
        return spread.permute(0, 3, 1, 2), None


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
        chunk = max(1, CACHED_BYTES // (side[0] * side[1] * width * images.element_size()))
        shape = (count, side[0] // 2, side[1] // 2, width)
        pooled = torch.empty(shape, dtype=images.dtype)
        where = torch.empty_like(pooled, dtype=BITS[images.dtype])
        for start in range(0, count, chunk):
            part = slice(start, start + chunk)
            with torch.autocast("cpu", enabled=False):
                found = functional.conv2d(images[part], weight, bias, padding=padding)
            pooled[part], where[part] = find_largest(put_last(found), rectify=True)
        result = pooled.permute(0, 3, 1, 2)
        ctx.save_for_backward(images, weight, where, result)
        ctx.side, ctx.chunk, ctx.padding = tuple(side), chunk, padding
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight, where, result = ctx.saved_tensors
        grad, pooled = put_last(grads[0]), put_last(result)
        wants = ctx.needs_input_grad
        inputs = torch.empty_like(images) if wants[0] else None
        weights = torch.zeros_like(weight, dtype=torch.float32)
        bias = torch.zeros(len(weight))
        for start in range(0, len(images), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            passed = rectify_gradient(grad[part], pooled[part])
            bias += passed.sum((0, 1, 2), dtype=torch.float32)
            spread = spread_gradient(passed, where[part], ctx.side)
            mine, own, _ = torch.ops.aten.convolution_backward(
                spread.permute(0, 3, 1, 2), images[part], weight, None, [1, 1],
                [ctx.padding] * 2, [1, 1], False, [0, 0], 1, [wants[0], True, False],
            )  # fmt: skip
            weights += own
            if inputs is not None:
                inputs[part] = mine
        return inputs, weights.to(weight.dtype), bias.to(weight.dtype) if wants[2] else None, None
