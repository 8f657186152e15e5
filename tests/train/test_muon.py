from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tellapart.models import Shape, SpeedSettings, make_model
from tellapart.train.muon import Muon, make_orthogonal
from tellapart.train.optim import make_optimizer


@given(rows=st.integers(1, 12), columns=st.integers(1, 60), seed=st.integers(0, 99))
def test_orthogonal_steps_keep_the_singular_vectors(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    found = make_orthogonal(matrix, steps=5)
    inside = u.T @ found @ v.T
    clear = values > 0.1 * values[0]
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 1e-6
    assert ((inside.diagonal()[clear] > 0.5) & (inside.diagonal()[clear] < 1.3)).all()


def test_products_in_bfloat16_come_near_enough() -> None:
    torch.manual_seed(3)
    matrix = torch.randn(24, 216)
    found = make_orthogonal(matrix, torch.bfloat16, steps=5)
    assert found.dtype == torch.bfloat16
    values = torch.linalg.svdvals(found.float())
    assert values.min() > 0.5 and values.max() < 1.3
    whole = make_orthogonal(matrix, steps=5)
    assert torch.nn.functional.cosine_similarity(found.float().ravel(), whole.ravel(), 0) > 0.99


def test_a_zero_gradient_moves_nothing() -> None:
    assert make_orthogonal(torch.zeros(3, 5)).equal(torch.zeros(3, 5))


def test_plain_groups_take_nesterov_steps() -> None:
    mine = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    theirs = torch.nn.Parameter(mine.detach().clone())
    muon = Muon([{"params": [mine]}], lr=0.1)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.85, nesterov=True)
    for step in range(5):
        for weight, optimizer in ((mine, muon), (theirs, sgd)):
            weight.grad = torch.cos(weight.detach() * (step + 1))
            optimizer.step()
    torch.testing.assert_close(mine, theirs)


def test_filters_are_brought_to_their_norm() -> None:
    weight = torch.nn.Parameter(5 * torch.randn(6, 3, 3, 3))
    muon = Muon([{"params": [weight], "filters": True}], lr=0.0)
    weight.grad = torch.randn_like(weight)
    muon.step()
    assert weight.norm().item() == pytest.approx(6**0.5, rel=1e-5)


def test_every_trained_weight_is_in_one_group() -> None:
    network = make_model(SpeedSettings(width=4, convs=2), Shape(3, 32, 10))
    optimizer = make_optimizer(network, SpeedSettings.recipe)
    groups = optimizer.param_groups
    held = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    filters = next(group for group in groups if group["filters"])
    assert {weight.ndim for weight in filters["params"]} == {4}
    last = next(group for group in groups if group.get("scale", 0) > 1)
    assert [weight.shape[0] for weight in last["params"]] == [10]


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = make_model(SpeedSettings(width=4, convs=2), Shape(1, 8, 3))
    optimizer = make_optimizer(network, SpeedSettings.recipe.model_copy(update={"lr": 0.02}))
    images, labels = torch.rand(32, 1, 8, 8), torch.arange(32) % 3
    losses = []
    for _ in range(20):
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
