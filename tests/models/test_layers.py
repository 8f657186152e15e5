from __future__ import annotations

import pytest
import torch

from tellapart.models.layers import Dropout, Flatten


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    images = torch.ones(1000, 999)
    shown = Dropout(share)(images)
    exact = round(share * 256) / 256
    error = 4 * (exact * (1 - exact) / images.numel()) ** 0.5
    assert float((shown == 0).float().mean()) == pytest.approx(exact, abs=error)
    assert set(shown.unique().tolist()) == {0.0, torch.tensor(1 / (1 - exact)).item()}
    assert float(shown.mean()) == pytest.approx(1, abs=error / (1 - exact))
    # no row or column is favoured
    assert float((shown == 0).float().mean(0).std()) == pytest.approx(
        (exact * (1 - exact) / 1000) ** 0.5, rel=0.15
    )


def test_the_gradient_passes_where_numbers_did() -> None:
    torch.manual_seed(0)
    images = torch.rand(7, 5, requires_grad=True)
    shown = Dropout(0.5)(images)
    shown.sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, 2 * (shown != 0).float())


def test_the_seed_has_all_the_say() -> None:
    images = torch.ones(64, 64)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(Dropout(0.5)(images))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_in_evaluation_and_at_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(3, 4)
    assert Dropout(0.5).eval()(images) is images
    assert Dropout(0.0)(images) is images
    assert torch.equal(Dropout(1.0)(images), torch.zeros(3, 4))
    half = images.to(torch.bfloat16)
    assert Dropout(0.5)(half).dtype == torch.bfloat16


def test_flattening_is_height_width_channel() -> None:
    images = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    expected = images.numpy().transpose(0, 2, 3, 1).reshape(2, -1)
    assert Flatten()(images).tolist() == expected.tolist()
    last = images.contiguous(memory_format=torch.channels_last)
    assert Flatten()(last).data_ptr() == last.data_ptr()
