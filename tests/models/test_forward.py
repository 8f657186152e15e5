from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tellapart.data.dataset import ArraySource, Dataset
from tellapart.models import Shape, StagesSettings, make_model
from tellapart.models.forward import cast_forward, predict_logits, prepare_batch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    settings = StagesSettings(width=8, stages=2, norm=True, dense=16, dropout=0.5)
    return make_model(settings, Shape(1, 8, 10))


def test_a_batch_is_prepared_as_in_numpy() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    pixels[0, 0, 0, 0] = 255
    batch = prepare_batch(pixels, CPU)
    expected = pixels.transpose(0, 3, 1, 2) / 255
    assert batch.numpy() == pytest.approx(expected, abs=1e-7)
    assert batch.dtype == torch.float32
    assert batch.max() == 1
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert pixels[0, 0, 0, 0] == 255


def test_an_images_logits_do_not_depend_on_its_company(network: nn.Module, digits: Dataset) -> None:
    rows = np.arange(700, dtype=np.int64)
    together = predict_logits(network, digits, rows, "float32")
    assert together.shape == (700, 10)
    assert together.dtype == np.float32
    mixed = np.random.default_rng(0).permutation(rows)
    found = predict_logits(network, digits, mixed, "float32")
    assert found == pytest.approx(together[mixed], abs=1e-5)
    alone = predict_logits(network, digits, rows[300:301], "float32")
    assert alone == pytest.approx(together[300:301], abs=1e-5)


def test_prediction_is_the_network_at_rest(network: nn.Module, digits: Dataset) -> None:
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rows = np.arange(50, dtype=np.int64)
    found = predict_logits(network, digits, rows, "float32")
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    images = torch.from_numpy(digits.source.read(rows)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        assert found == pytest.approx(network.eval()(images).numpy(), abs=1e-5)


def test_mirrored_logits_are_the_mean_over_an_image_and_its_mirror_image(
    network: nn.Module, digits: Dataset
) -> None:
    rows = np.arange(60, dtype=np.int64)
    pixels = digits.source.read(rows)
    turned = replace(digits, source=ArraySource(np.ascontiguousarray(pixels[:, :, ::-1])))
    plain, other = (predict_logits(network, data, rows, "float32") for data in (digits, turned))
    assert np.abs(plain - other).max() > 0.01
    found = predict_logits(network, digits, rows, "float32", mirrored=True)
    assert found == pytest.approx((plain + other) / 2, abs=1e-5)


def test_bfloat16_is_near_float32(network: nn.Module, digits: Dataset) -> None:
    rows = np.arange(100, dtype=np.int64)
    exact = predict_logits(network, digits, rows, "float32")
    rounded = predict_logits(network, digits, rows, "bfloat16")
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, exact)
    assert rounded == pytest.approx(exact, abs=0.03 * float(np.abs(exact).max()))


def test_products_run_in_the_precision_asked_for() -> None:
    ones = torch.ones(4, 4)
    with cast_forward(CPU, "bfloat16"):
        assert (ones @ ones).dtype == torch.bfloat16
    with cast_forward(CPU, "float32"):
        assert (ones @ ones).dtype == torch.float32
