"""Several processes at one training: the share of each, and what they add up.

Started by ``torchrun``, every process (a rank) runs the same steps on its share of each batch, and
rank 0 alone writes. Gradients are added by hand, in one all-reduce a step. Torch's
``DistributedDataParallel`` takes the mean over processes, which is that of the batch only where
all shares are of one length; it does not do with a share of no images; and it renames weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn

from tellapart.data.dataset import Indices
from tellapart.data.loader import split_batch
from tellapart.device import DeviceName, choose_device
from tellapart.errors import DeviceError, TellapartError
from tellapart.stop import ask_stop, is_stop_asked

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What ``torchrun`` tells each process; where one is missing, the process is alone."""

PATIENCE = timedelta(hours=1)
"""How long a rank waits for one that neither answers nor ends; that one ended is seen at once."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and shows what all of them do."""
        return self.rank == 0


ALONE = Ranks()


def read_ranks(environ: Mapping[str, str] | None = None) -> Ranks:
    """Return what ``torchrun`` says of this process.

    >>> read_ranks({}) == ALONE
    True
    """
    given = os.environ if environ is None else environ
    if any(name not in given for name in NEEDED):
        return ALONE
    return Ranks(int(given["RANK"]), int(given["WORLD_SIZE"]))


def join_ranks(name: DeviceName) -> Ranks:
    """Meet the other processes, once, and return which one this is.

    On GPUs each takes the one of its local rank. Tensors in main memory travel by gloo.

    Raises:
        DeviceError: several processes on a device that cannot add up, or with fewer GPUs.
        TellapartError: the others did not come.
    """
    ranks = read_ranks()
    if ranks.count == 1 or distributed.is_initialized():
        return ranks
    device = choose_device(name)
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"several processes train on cpu or cuda, but got {device.type}; use --device cpu"
        )
    backend = "gloo"
    if device.type == "cuda":
        local, here = int(os.environ.get("LOCAL_RANK", ranks.rank)), torch.cuda.device_count()
        if local >= here:
            raise DeviceError(
                f"each process takes a GPU, but process {local} of this machine finds {here}; "
                "start fewer, or use --device cpu"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    with explain_failure():
        distributed.init_process_group(
            backend, rank=ranks.rank, world_size=ranks.count, timeout=PATIENCE
        )
    return ranks


def leave_ranks() -> None:
    """Close the connections to the other processes, if there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def explain_failure() -> Iterator[None]:
    """Say what it means that a rank no longer answers.

    Raises:
        TellapartError: another rank failed, ended, or was silent for `PATIENCE`.
    """
    try:
        yield
    except RuntimeError as error:  # of which all of torch.distributed's are
        raise TellapartError(
            "another process of this training failed or ended (see what it said); "
            f"start all of them again to go on from the last checkpoint ({error})"
        ) from error


def sum_tensor(tensor: torch.Tensor) -> None:
    """Replace a contiguous tensor by its sum over all ranks."""
    with explain_failure():
        distributed.all_reduce(tensor)


def sum_step(network: nn.Module, loss: torch.Tensor, hits: torch.Tensor) -> None:
    """Add up over all ranks the gradients of a network, and a loss and hits, in place.

    One buffer holds all of them, so that a step pays for one message. The gradients must be of a
    sum over the rank's images divided by the number of images in the whole batch.

    Args:
        loss: () float32.
        hits: () int64, below 2^24 in sum, so that float32 holds it exactly.
    """
    found = [p.grad for p in network.parameters() if p.grad is not None] + [loss, hits]
    flat = torch.cat([tensor.reshape(-1).to(torch.float32) for tensor in found])
    sum_tensor(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in found])
    for tensor, part in zip(found, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def gather_logits(ranks: Ranks, own: NDArray[np.float32], rows: Indices) -> NDArray[np.float32]:
    """Return the logits of all rows, in their order, from those of each rank's share.

    Each row is told by one rank and zero in the others, so that the sum is exact.

    Args:
        own: (len(share), classes) float32, the share being ``split_batch(rows, rank, count)``.
        rows: of all ranks, (n,).

    Returns:
        (n, classes) float32, the same on every rank.
    """
    if ranks.count == 1:
        return own
    at = split_batch(np.arange(len(rows)), ranks.rank, ranks.count)
    assert len(own) == len(at), (len(own), len(at))
    found = torch.zeros(len(rows), own.shape[1] + 1)  # the last column counts who told a row
    found[at, :-1] = torch.from_numpy(own)
    found[at, -1] = 1
    sum_tensor(found)
    assert bool((found[:, -1] == 1).all()), "each row is told once"
    return found[:, :-1].contiguous().numpy()


def agree_on(ranks: Ranks, asked: bool) -> bool:
    """Return whether any rank asks, the same on all, when all have come here."""
    if ranks.count == 1:
        return asked
    votes = torch.tensor(int(asked))
    sum_tensor(votes)
    return bool(votes)


def agree_stop(ranks: Ranks) -> bool:
    """Return whether a stop was asked of any rank; it is asked of all then.

    A rank must not leave for a stop that it alone knows of: the others would wait for it.
    """
    found = agree_on(ranks, is_stop_asked())
    if found and not is_stop_asked():
        ask_stop()
    return found


def send_bytes(ranks: Ranks, content: bytes = b"") -> bytes:
    """Return the bytes that rank 0 gives; what the others give is not looked at."""
    if ranks.count == 1:
        return content
    length = torch.tensor([len(content)])
    with explain_failure():
        distributed.broadcast(length, 0)
        buffer = torch.zeros(int(length), dtype=torch.uint8)
        if ranks.leads:
            buffer = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
        if len(buffer):
            distributed.broadcast(buffer, 0)
    return buffer.numpy().tobytes()


@torch.no_grad()
def send_weights(ranks: Ranks, network: nn.Module) -> None:
    """Give all ranks the weights and statistics of rank 0, to the bit."""
    if ranks.count == 1:
        return
    for tensor in network.state_dict().values():
        flat = tensor.contiguous()
        with explain_failure():
            distributed.broadcast(flat, 0)
        tensor.copy_(flat)
