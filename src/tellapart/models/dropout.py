"""Dropout (Srivastava et al. 2014, JMLR 15:1929) that draws a byte for each number on CPUs.

PyTorch's draws each number's fate by itself, in one thread: at a head of 2,048 units that took two
fifths of a training step.
"""

from __future__ import annotations

import torch
from torch import nn

LEVELS = 256
"""The share that is dropped is one of so many, plus one."""


class Dropout(nn.Dropout):
    """Set a share of ``p`` of all numbers to 0 in training, and scale the others up.

    On a CPU the share is rounded to whole 256ths, and the scale is that of the rounded share.
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
