"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tellapart.config import TrainSettings
from tellapart.data.dataset import Labels
from tellapart.device import Precision
from tellapart.train.muon import Muon

HEAD_SCALE, BIAS_SCALE = 3.0, 0.6
"""Learning rates of the last layer and of biases, over that of Muon's filters."""

TINY, OFTEN = 1e-25, 50
"""What an optimiser keeps below it is set to 0, every so many steps."""

RISE = {"onecycle": 5, "cosine": 20}
"""Schedules that climb first, and into how many parts a training is cut of which one climbs."""


def make_optimizer(
    network: nn.Module,
    recipe: TrainSettings,
    precision: Precision = "float32",
    layers: list[tuple[float, list[nn.Parameter]]] | None = None,
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; weight decay leaves biases and norms alone.

    ``adam`` is AdamW (decoupled), its epsilon 1e-7, as in Keras. Muon has rates of its own, and
    products in the number format ``precision``. ``layers`` have rates of their own where told.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    if recipe.optimizer == "muon":
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        last = next(p for p in reversed(trained) if p.ndim > 1)
        filters = [p for p in trained if p.ndim > 1 and p is not last]
        groups += [
            {"params": filters, "filters": True, "momentum": 0.6},
            {"params": [last], "scale": HEAD_SCALE},
            {"params": [p for p in trained if p.ndim <= 1], "scale": BIAS_SCALE},
        ]
        return Muon([group for group in groups if group["params"]], recipe.lr, kind)
    for scale, weights in layers or [(1.0, trained)]:
        filters = [p for p in weights if p.ndim > 1]
        others = [p for p in weights if p.ndim <= 1]
        groups.append({"params": filters, "weight_decay": recipe.weight_decay, "scale": scale})
        groups.append({"params": others, "weight_decay": 0.0, "scale": scale})
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=recipe.lr, eps=1e-7, fused=True)


def clear_tiny(optimizer: torch.optim.Optimizer) -> None:
    """Set to 0 what an optimiser keeps of weights and is nearly 0.

    Where a unit no longer fires, momentum falls within a thousand steps to numbers below 1e-38,
    with which processors compute far more slowly (``benchmarks/denormals.py``). No weight is so
    small that it would be moved by what goes.
    """
    for state in optimizer.state.values():
        for kept in state.values():
            if isinstance(kept, torch.Tensor) and kept.ndim:
                kept.copy_(functional.hardshrink(kept, TINY))


def schedule_rate(recipe: TrainSettings, step: int, steps: int) -> float:
    """Return the learning rate of one step of ``steps``.

    ``onecycle`` climbs in a straight line over the first fifth, then falls along a half cosine
    to nearly zero (after Smith and Topin 2018); ``cosine`` with a climb of a twentieth. ``linear``
    falls in a straight line to zero.

    >>> recipe = TrainSettings(lr=1.0, schedule="onecycle")
    >>> [round(schedule_rate(recipe, step, 10), 2) for step in (0, 1, 2, 6, 9)]
    [0.33, 0.67, 1.0, 0.5, 0.04]
    """
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "linear":
        return recipe.lr * (1 - step / steps)
    rise = max(1, steps // RISE[recipe.schedule])
    if step < rise:
        return recipe.lr * (step + 1) / (rise + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def weigh_classes(
    recipe: TrainSettings, labels: Labels, classes: int, device: torch.device
) -> torch.Tensor | None:
    """Return the weight of each class in the loss, (classes,) float32, or None where all are 1.

    ``balanced`` is ``n / (k * n_c)``, as in scikit-learn: of n training images with (n,) int64
    labels in k classes, n_c are of class c; their mean over the images is 1.
    """
    if recipe.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32)).to(device)
