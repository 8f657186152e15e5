from __future__ import annotations

import pytest
import torch
from torch import nn

from tellapart.models.patches import WideConv


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 11])
def test_numbers_and_gradients_are_those_of_stock_layers(channels: int, side: int) -> None:
    torch.manual_seed(0)
    ours = WideConv(channels, 16, 3)
    stock = nn.Conv2d(channels, 16, 3)
    stock.load_state_dict(ours.state_dict())
    images = torch.rand(5, channels, side, side).to(memory_format=torch.channels_last)
    found = ours(images)
    expected = nn.functional.relu(nn.functional.max_pool2d(stock(images), 2))
    assert torch.allclose(found, expected, atol=1e-5)
    pull = torch.randn_like(expected)
    (found * pull).sum().backward()
    (expected * pull).sum().backward()  # type: ignore[no-untyped-call]  # untyped in torch
    for name, parameter in ours.named_parameters():
        other = stock.get_parameter(name).grad
        assert parameter.grad is not None and other is not None
        assert torch.allclose(parameter.grad, other, atol=1e-4), name


def test_it_computes_in_bfloat16_where_asked() -> None:
    layer, images = WideConv(3, 16, 3), torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(images)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), layer(images), atol=0.02)


def test_many_images_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, images = WideConv(3, 16, 3), torch.rand(7, 3, 8, 8)
    whole = layer(images)
    monkeypatch.setattr("tellapart.models.patches.CHUNK_BYTES", 10_000)
    assert torch.allclose(layer(images), whole, atol=1e-6)
