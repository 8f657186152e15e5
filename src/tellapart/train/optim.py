"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math

import torch
from torch import nn

from tellapart.config import TrainSettings


def make_optimizer(network: nn.Module, recipe: TrainSettings) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; weight decay leaves biases and norms alone.

    ``adam`` with a weight decay is AdamW (decoupled); epsilon is 1e-7, as in Keras.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=recipe.lr, eps=1e-7, fused=True)


def schedule_rate(recipe: TrainSettings, step: int, steps: int) -> float:
    """Return the learning rate of one step of ``steps``.

    ``onecycle`` climbs in a straight line over the first fifth, then falls along a half cosine
    to nearly zero (after Smith and Topin 2018).

    >>> recipe = TrainSettings(lr=1.0, schedule="onecycle")
    >>> [round(schedule_rate(recipe, step, 10), 2) for step in (0, 1, 2, 6, 9)]
    [0.33, 0.67, 1.0, 0.5, 0.04]
    """
    if recipe.schedule == "constant":
        return recipe.lr
    rise = max(1, steps // 5)
    if step < rise:
        return recipe.lr * (step + 1) / (rise + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
