from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tellapart.models import ResnetSettings, Shape, count_parameters, make_model
from tellapart.models.layers import Residual


def test_parameters_by_hand() -> None:
    """Convolutions and norms of the stem, of three blocks and of two shortcuts; the last layer."""
    stem = 27 * 8 + 16
    stages = [(8, 8), (8, 16), (16, 32)]
    blocks = sum(9 * before * width + 9 * width * width + 4 * width for before, width in stages)
    shortcuts = sum(before * width + 2 * width for before, width in stages[1:])
    network = make_model(ResnetSettings(width=8, blocks=1), Shape(3, 32, 10))
    assert count_parameters(network) == stem + blocks + shortcuts + 32 * 10 + 10


@pytest.mark.parametrize(("before", "width", "side"), [(4, 4, 6), (4, 8, 3)])
def test_what_goes_in_is_added_to_what_comes_out(before: int, width: int, side: int) -> None:
    block = Residual(before, width).eval()
    images = torch.randn(2, before, 6, 6)
    assert block(images).shape == (2, width, side, side)
    last = block.main[-1]
    assert isinstance(last, nn.BatchNorm2d)
    nn.init.zeros_(last.weight)
    torch.testing.assert_close(block(images), functional.relu(block.shortcut(images)))


def test_more_blocks_keep_the_sides_of_the_stages() -> None:
    network = make_model(ResnetSettings(width=4, blocks=3), Shape(1, 16, 3))
    blocks = [layer for layer in network.children() if isinstance(layer, Residual)]
    assert len(blocks) == 9
    sides, images = [], torch.rand(1, 4, 16, 16)
    for block in blocks:
        images = block.eval()(images)
        sides.append(images.shape[2])
    assert sides == [16] * 3 + [8] * 3 + [4] * 3
