from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tellapart.models import Shape, SpeedSettings, count_parameters, make_model
from tellapart.models.layers import Group, Whiten, adapt_model

SPEED = SpeedSettings(width=8, convs=2)


def make_images(n: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    """Smooth images, so that neighbouring pixels go together as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, size + 2, size + 2, generator=generator)
    return nn.functional.avg_pool2d(images, 3, stride=1)


@given(
    size=st.integers(4, 96),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 12),
    convs=st.integers(1, 3),
)
def test_any_small_image_gives_logits(size: int, channels: int, classes: int, convs: int) -> None:
    settings = SpeedSettings(width=4, convs=convs)
    network = make_model(settings, Shape(channels, size, classes)).eval()
    logits = network(torch.rand(2, channels, size, size))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize(("size", "groups"), [(4, 1), (8, 1), (28, 3), (32, 3), (64, 3), (96, 4)])
def test_groups_follow_from_the_image(size: int, groups: int) -> None:
    network = make_model(SPEED, Shape(3, size, 10))
    assert sum(isinstance(layer, Group) for layer in network.modules()) == groups


def test_parameters_by_hand() -> None:
    """Two convolutions a group of 8, 32, 32 filters; biases of whitening and norms; the head."""
    convs = 9 * (24 * 8 + 8 * 8 + 8 * 32 + 32 * 32 + 32 * 32 + 32 * 32)
    biases = 24 + 2 * (8 + 32 + 32)
    assert count_parameters(make_model(SPEED, Shape(3, 32, 10))) == convs + biases + 32 * 10


@pytest.mark.parametrize("stride", [1, 2])
def test_whitened_patches_have_no_correlation(stride: int) -> None:
    images = make_images(400, 1, 12)
    layer = Whiten(1, stride)
    layer.fit(images)
    seen = layer(images).permute(0, 2, 3, 1).flatten(0, 2)
    half = seen.shape[1] // 2
    torch.testing.assert_close(seen[:, :half], -seen[:, half:])
    covariance = torch.cov(seen[:, :half].T.double())
    off = covariance - torch.diag(covariance.diagonal())
    assert off.abs().max() < 0.01
    assert 0.9 < covariance.diagonal()[: half // 2].min() <= covariance.diagonal().max() < 1.01
    assert seen.mean(0).abs().max() < 1e-3


def test_flat_images_give_finite_filters() -> None:
    layer = Whiten(3, 1)
    layer.fit(torch.full((10, 3, 8, 8), 0.5))
    assert layer.weight.isfinite().all()
    assert layer(torch.full((1, 3, 8, 8), 0.5)).abs().max() < 1e-3


def test_adapting_touches_the_first_layer_alone() -> None:
    network = make_model(SPEED, Shape(3, 32, 10))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapt_model(network, lambda: make_images(100, 3, 32))
    changed = {
        name for name, value in network.state_dict().items() if not value.equal(before[name])
    }
    assert changed == {"0.weight", "0.bias"}
    assert not network[0].weight.requires_grad  # type: ignore[index]  # a Sequential


def test_a_new_group_hands_its_inputs_on() -> None:
    group = Group(4, 8, 1).eval()
    images = torch.rand(2, 4, 6, 6)
    found = group(images)[:, :4]
    expected = nn.functional.gelu(nn.functional.max_pool2d(images, 2))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
