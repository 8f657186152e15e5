"""Muon: momentum whose steps on filters are made orthogonal (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; from Jordan et al. 2024."""
STEPS = 3
LONG = 4
"""Columns over rows from which a matrix is gone through twice alone."""


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for filters, Nesterov momentum for all else.

    A group with ``filters`` true holds weights of two or more dimensions, seen as (out, rest)
    matrices: before its step each is brought to the norm sqrt(out), so that the learning rate
    means the same for every layer. ``kind`` is the number format of the products.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, kind: torch.dtype = torch.float32
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": 0.85, "filters": False})
        self.kind = kind

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is called
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                moved = state["momentum"].mul_(momentum).add_(weight.grad)
                ahead = weight.grad.add_(moved, alpha=momentum)  # it is not needed again
                if group["filters"]:
                    weight.mul_(len(weight) ** 0.5 / weight.norm())
                    ahead = make_orthogonal(ahead.flatten(1), self.kind).view_as(weight)
                weight.add_(ahead, alpha=-lr)


def make_orthogonal(
    matrix: torch.Tensor, kind: torch.dtype | None = None, steps: int = STEPS
) -> torch.Tensor:
    """Return a matrix with the singular vectors of ``matrix`` and singular values near 1.

    A Newton-Schulz iteration: products alone, no decomposition. Each step multiplies the matrix
    by a polynomial of its product with itself, (rows, rows), from the left. Where it has far more
    columns, the polynomials are multiplied first, so that it is gone through twice whatever the
    number of steps. A zero matrix stays zero. ``kind`` is the number format of the products with
    the matrix and of what is returned; its own unless told.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    found = (matrix.T if tall else matrix).to(kind or matrix.dtype)
    if found.shape[1] < LONG * found.shape[0]:
        found = found / (found.norm() + 1e-7)
        for _ in range(steps):
            square = found @ found.T
            factor = torch.addmm(square, square, square, beta=b, alpha=c)
            found = torch.addmm(found, factor, found, beta=a)
        return found.T if tall else found
    square = (found @ found.T).to(torch.promote_types(found.dtype, torch.float32))
    norm = square.trace().sqrt() + 1e-7  # of the matrix, by the sum of its squares
    square /= norm**2
    whole = torch.eye(len(square), dtype=square.dtype, device=square.device) / norm
    for _ in range(steps):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        whole, square = factor @ whole, factor @ square @ factor
    found = whole.to(found.dtype) @ found
    return found.T if tall else found
