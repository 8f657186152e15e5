"""Muon: momentum whose steps on filters are made orthogonal (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; from Jordan et al. 2024."""
STEPS = 3


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for filters, Nesterov momentum for all else.

    A group with ``filters`` true holds weights of two or more dimensions, seen as (out, rest)
    matrices: before its step each is brought to the norm sqrt(out), so that the learning rate
    means the same for every layer. Other groups take plain Nesterov steps.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": 0.85, "filters": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is called
        """Change every weight that has a gradient."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                moved = state["momentum"].mul_(momentum).add_(weight.grad)
                ahead = weight.grad.add(moved, alpha=momentum)
                if group["filters"]:
                    weight.mul_(len(weight) ** 0.5 / weight.norm())
                    ahead = make_orthogonal(ahead.flatten(1)).view_as(weight)
                weight.add_(ahead, alpha=-lr)


def make_orthogonal(matrix: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Return a matrix with the singular vectors of ``matrix`` and singular values near 1.

    A Newton-Schulz iteration: products alone, no decomposition. A zero matrix stays zero.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / (found.norm() + 1e-7)
    for _ in range(steps):
        square = found @ found.T
        found = torch.addmm(
            found, torch.addmm(square, square, square, beta=b, alpha=c), found, beta=a
        )
    return found.T if tall else found
