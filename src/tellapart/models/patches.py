"""A wide convolution of few channels, max-pool and ReLU as products of matrices, on a CPU.

The patch of an image that a filter sees has few numbers where there are few channels: 27 of colour
at 3 x 3. So the patches are written down, those of each of the four pixels that are pooled by
themselves, and the four outputs, which lie one after another, are compared as wholes. A sweep of
widths up to 1,024 takes 0.75 of the time of stock layers with it (``benchmarks/RESULTS.md``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

WIDE, FEW = 256, 4
"""Filters from which this is the faster way, and the channels of an image up to which it is."""
CHUNK_BYTES = 8_000_000
"""What the outputs of the images at work may take: they stay in a processor's caches.

Measured at widths of 64 to 1024: half of it is slower, twice of it the same.
"""
BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
"""Number formats that are pooled here, and the whole numbers of as many bytes."""


class WideConv(nn.Conv2d):
    """(n, c, h, w) to (n, width, h', w'): convolution, max-pool over 2 x 2 pixels, ReLU.

    The numbers are those of the three stock layers in turn but for rounding. No second derivative.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kind = images.dtype
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
        stock = images.device.type != "cpu" or kind not in BITS or images.requires_grad
        if stock or torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # not in stubs
            return functional.relu(functional.max_pool2d(super().forward(images), 2))
        assert self.bias is not None
        found: torch.Tensor = PatchedConv.apply(
            images.to(kind), self.weight.to(kind), self.bias.to(kind)
        )
        return found


def gather_patches(images: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return what each filter sees: (n, 4, h', w', kernel * kernel * c + 1), the last number 1.

    The four are the pixels that pooling compares, row by row; the 1 meets the bias.

    Args:
        images: (n, h, w, c), contiguous.
    """
    count, rows, columns, channels = images.shape
    high, wide = (rows - kernel + 1) // 2, (columns - kernel + 1) // 2
    line = columns * channels
    seen = images.as_strided(
        (count, 2, 2, high, wide, kernel, kernel * channels),
        (rows * line, line, channels, 2 * line, 2 * channels, line, 1),
    )
    numbers = kernel * kernel * channels
    patches = torch.ones((count, 4, high, wide, numbers + 1), dtype=images.dtype)
    patches[..., :numbers].view(seen.shape).copy_(seen)
    return patches


class PatchedConv(torch.autograd.Function):
    """(n, c, h, w), weights, bias to (n, width, h', w'); images get no gradient."""

    @staticmethod
    def forward(
        ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        kernel, width, kind = weight.shape[2], len(weight), BITS[images.dtype]
        images = images.permute(0, 2, 3, 1).contiguous()
        filters = torch.cat([weight.permute(2, 3, 1, 0).reshape(-1, width), bias[None]])
        side = [(length - kernel + 1) // 2 for length in images.shape[1:3]]
        shape = (len(images), side[0] * side[1], width)
        pooled = torch.empty(shape, dtype=images.dtype)
        where = torch.empty(shape, dtype=kind)
        chunk = max(1, CHUNK_BYTES // (4 * pooled[0].nbytes))
        room = torch.empty((min(chunk, shape[0]), 4, *shape[1:]), dtype=images.dtype)
        for start in range(0, shape[0], chunk):
            part = slice(start, start + chunk)
            patches = gather_patches(images[part], kernel).flatten(0, 3)
            found = room[: len(images[part])]
            torch.mm(patches, filters, out=found.view(-1, width))
            pick_largest(found.view(kind), pooled[part].view(kind), where[part])
            functional.relu_(pooled[part])
        ctx.save_for_backward(images, where, pooled)
        ctx.chunk, ctx.filters = chunk, weight.shape
        return pooled.view(shape[0], *side, width).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, where, pooled = ctx.saved_tensors
        kind, (count, pixels, width) = where.dtype, where.shape
        grad = grads[0].permute(0, 2, 3, 1).contiguous().view(count, pixels, width)
        _, channels, kernel, _ = ctx.filters
        total = torch.zeros(kernel * kernel * channels + 1, width)
        places = torch.arange(4, dtype=kind)[:, None, None]
        room = torch.empty((min(ctx.chunk, count), 4, pixels, width), dtype=kind)
        for start in range(0, count, ctx.chunk):
            part = slice(start, start + ctx.chunk)
            passed = torch.gt(pooled[part].view(kind), 0, out=torch.empty_like(where[part]))
            passed.mul_(grad[part].view(kind))
            spread = torch.eq(where[part, None], places, out=room[: len(passed)])
            spread.mul_(passed[:, None])
            patches = gather_patches(images[part], kernel).flatten(0, 3)
            total += patches.t() @ spread.view(grad.dtype).view(-1, width)
        total = total.to(grad.dtype)
        weights = total[:-1].view(kernel, kernel, channels, width).permute(3, 2, 0, 1)
        return None, weights, total[-1]


def pick_largest(four: torch.Tensor, largest: torch.Tensor, where: torch.Tensor) -> None:
    """Write the largest of four numbers, or a negative one, and which it was, the first of equals.

    Args:
        four: (n, 4, ...), the bits of numbers as whole numbers; is used up.
        largest, where: (n, ...), to be written.
    """
    top, bottom = torch.maximum(four[:, 0], four[:, 1]), torch.maximum(four[:, 2], four[:, 3])
    torch.maximum(top, bottom, out=largest)
    right = torch.ne(four[:, 0], top, out=four[:, 1])
    below = torch.ne(top, largest, out=top)
    lower = torch.ne(four[:, 2], bottom, out=bottom)
    torch.add(lower.sub_(right).add_(2).mul_(below), right, out=where)
