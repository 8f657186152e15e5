from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tellapart.train.replay import MOST, Replay

IMAGES = torch.rand(6, 1, 5, 5, generator=torch.Generator().manual_seed(0))


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4)
    )


def copy_buffers(network: nn.Module) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in network.buffers()]


def run_thrice(body: nn.Module, sample: tuple[torch.Tensor], **rest: Any) -> nn.Module:
    """Do to a network what recording does to it before it records."""
    for _ in range(3):
        body(*sample)
    return body


def refuse(*args: Any, **rest: Any) -> None:
    raise RuntimeError("operation not permitted when stream is capturing")


def test_on_a_cpu_the_network_itself_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refuse)
    replay = Replay(make_network(), "float32")
    assert torch.equal(replay(IMAGES), make_network()(IMAGES))
    assert replay.seconds == 0


@pytest.mark.parametrize("graph", [run_thrice, refuse])
def test_recording_leaves_running_statistics_alone(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", graph)
    network = make_network()
    before, replay = copy_buffers(network), Replay(network, "bfloat16")
    found = replay.record(IMAGES)
    assert all(map(torch.equal, copy_buffers(network), before))
    assert torch.equal(found(IMAGES), make_network()(IMAGES))
    assert replay.seconds > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="recording needs a GPU")
def test_recorded_passes_have_the_gradients_of_the_network() -> None:
    network, plain = make_network().cuda(), make_network().cuda()
    replay = Replay(network, "float32")
    for count in (6, 5, 6, 4):  # two shapes are recorded, the third runs as it is
        images = torch.rand(count, 1, 5, 5, device="cuda")
        truth = torch.arange(count, device="cuda") % 4
        for one, run in ((network, replay), (plain, plain)):
            one.zero_grad(set_to_none=True)
            functional.cross_entropy(run(images), truth).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
    assert all(map(torch.allclose, copy_buffers(network), copy_buffers(plain)))
    assert len(replay._recorded) == MOST
    assert replay.seconds > 0
