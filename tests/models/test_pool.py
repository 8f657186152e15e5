from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tellapart.models import patches, pool
from tellapart.models.patches import BITS
from tellapart.models.pool import MaxPool, PooledConv, max_pool

CASES = [(1, 8, 8, 1), (3, 5, 9, 0), (2, 16, 33, 0), (4, 3, 6, 1)]


def make_pair(
    channels: int, width: int, size: int, padding: int, wants: bool
) -> tuple[torch.Tensor, PooledConv]:
    torch.manual_seed(size)
    images = torch.rand(7, channels, size, size).contiguous(memory_format=torch.channels_last)
    layer = PooledConv(channels, width, 3, padding=padding)
    return images.requires_grad_(wants), layer.to(memory_format=torch.channels_last)


def pool_plainly(images: torch.Tensor, layer: PooledConv) -> torch.Tensor:
    found = functional.conv2d(images, layer.weight, layer.bias, padding=layer.padding)
    return functional.relu(functional.max_pool2d(found, 2))


@pytest.mark.parametrize("wants", [False, True])
@pytest.mark.parametrize(("channels", "width", "size", "padding"), CASES)
def test_cut_up_it_is_the_convolution_and_the_pooling(
    channels: int,
    width: int,
    size: int,
    padding: int,
    wants: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place, name in ((pool, "CACHED_BYTES"), (patches, "CHUNK_BYTES")):
        monkeypatch.setattr(place, name, 2 * width * size * size * 4)  # two images at once
    images, layer = make_pair(channels, width, size, padding, wants)
    tensors = [*layer.parameters(), *([images] if wants else [])]
    mine, plain = layer(images), pool_plainly(images, layer)
    assert mine.grad_fn is not None
    assert mine.grad_fn.name() == ("_PooledConvBackward" if wants else "PatchedConvBackward")
    assert mine.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(mine, plain)
    seed = torch.randn_like(plain)
    for got, want in zip(
        torch.autograd.grad(mine, tensors, seed),
        torch.autograd.grad(plain, tensors, seed),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_the_weights_gradient_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CACHED_BYTES", 1)
    images, layer = make_pair(3, 16, 12, 0, wants=False)
    with torch.autocast("cpu", torch.bfloat16):
        mine, plain = layer(images), pool_plainly(images, layer)
    assert mine.dtype == plain.dtype == torch.bfloat16
    seed = torch.randn_like(plain)
    got = torch.autograd.grad(mine, list(layer.parameters()), seed)
    want = torch.autograd.grad(plain, list(layer.parameters()), seed)
    for ours, theirs in zip(got, want, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.03, atol=0.3)


def test_a_batch_that_fits_goes_through_as_a_whole() -> None:
    images, layer = make_pair(3, 16, 12, 0, wants=False)
    found = layer(images)
    assert found.grad_fn is not None
    assert "Conv" not in found.grad_fn.name()
    assert torch.equal(found, pool_plainly(images, layer))


def test_numbers_of_two_bytes_take_half_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    images, layer = make_pair(3, 16, 12, 0, wants=False)
    halves = 7 * 12 * 12 * 16 * 2
    monkeypatch.setattr(pool, "CACHED_BYTES", halves // 2)
    names = {}
    for reduced in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            found = layer(images)
        assert found.grad_fn is not None
        names[reduced] = found.grad_fn.name()
    assert "Conv" in names[False]
    assert "Conv" not in names[True]


def test_patches_of_many_numbers_are_left_to_the_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "CACHED_BYTES", 1)
    for channels, name in ((7, "PatchedConvBackward"), (8, "_PooledConvBackward")):
        images, layer = make_pair(channels, 4, 6, 1, wants=False)
        found = layer(images)
        assert found.grad_fn is not None
        assert found.grad_fn.name() == name


def test_a_convolution_that_is_not_finite_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CACHED_BYTES", 1)
    for nan in (float("nan"), -float("nan")):
        images, layer = make_pair(3, 4, 6, 0, wants=False)
        with torch.no_grad():
            layer.weight.fill_(nan)
        assert layer(images).isnan().all()


def test_exported_it_is_the_stock_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exported holds nothing of ours."""
    monkeypatch.setattr(pool, "CACHED_BYTES", 1)
    images, layer = make_pair(3, 16, 12, 0, wants=False)
    exported = torch.export.export(layer, (images,))
    said = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert said == ["aten.conv2d.default", "aten.max_pool2d.default", "aten.relu.default"]
    assert torch.equal(exported.module()(images), pool_plainly(images, layer))


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("kind", list(BITS))
@pytest.mark.parametrize("size", [2, 7, 8])
def test_pooling_is_that_of_the_stock_layers_to_the_last_bit(
    size: int, kind: torch.dtype, rectify: bool
) -> None:
    torch.manual_seed(size)
    images = torch.randint(-3, 4, (5, 6, size, size)).to(kind)  # few values: many ties
    images[0] = torch.randn(6, size, size)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    plain = functional.max_pool2d(images, 2)
    plain = functional.relu(plain) if rectify else plain
    mine = MaxPool(rectify)(images)
    assert type(mine.grad_fn).__name__ == "_MaxPoolBackward"
    assert torch.equal(mine, plain)
    assert mine.is_contiguous(memory_format=torch.channels_last)
    seed = torch.randn_like(plain)
    (got,) = torch.autograd.grad(mine, images, seed)
    (want,) = torch.autograd.grad(plain, images, seed)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(got, want)


@pytest.mark.parametrize("rectify", [False, True])
def test_what_is_not_a_number_stays_so(rectify: bool) -> None:
    for nan in (float("nan"), -float("nan")):
        images = torch.full((1, 2, 4, 4), nan).contiguous(memory_format=torch.channels_last)
        assert max_pool(images, rectify).isnan().all()


def test_numbers_in_another_order_of_memory_or_another_format_are_pooled_too() -> None:
    for images in (torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6).double()):
        want = functional.relu(functional.max_pool2d(images, 2))
        assert torch.equal(max_pool(images, rectify=True), want)
