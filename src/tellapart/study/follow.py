"""Several processes at one study: rank 0 runs it, and has the others take part in its trainings.

They know nothing of steps, cells or folders: they wait for a training, do their share of it, and
wait for the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tellapart.config import ModelSettings, TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.device import DeviceName
from tellapart.errors import Interrupted, NotFinite, SettingError
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.train.ranks import Ranks, join_ranks, leave_ranks, read_ranks, send_bytes

NOWHERE = Path("other-ranks-write-nothing")


def announce_training(rows: Rows, task: Task) -> None:
    """Call the other processes, if there are any, to a training, which must come next."""
    ranks = join_ranks(task.device)
    if ranks.count == 1:
        return
    order = {
        "model": task.model.model_dump(),
        "recipe": task.recipe.model_dump(),
        "precision": task.precision,
        "train": rows.train.tolist(),
        "watch": rows.watch.tolist(),
    }
    send_bytes(ranks, json.dumps(order).encode())


def follow_trainings(ranks: Ranks, dataset: Dataset, device: DeviceName) -> None:
    """Take part in each training that rank 0 announces, until it says that there are no more.

    Raises:
        Interrupted: a stop was asked of any process.
        NotFinite: a loss, or an output, was not finite.
        TellapartError: another process failed.
    """
    while content := send_bytes(ranks):
        order = json.loads(content)
        train, watch = (np.array(order[name], np.int64) for name in ("train", "watch"))
        model, recipe = ModelSettings(**order["model"]), TrainSettings(**order["recipe"])
        task = Task(model, recipe, device, precision=order["precision"])
        try:
            fit_network(dataset, Rows(train, watch), task, NOWHERE)
        except (Interrupted, NotFinite):  # rank 0 has the same, and may yet have files to write
            send_bytes(ranks)
            raise


@contextmanager
def share_work(verb: str, device: DeviceName) -> Iterator[Ranks]:
    """Join the other processes for a ``with`` block; at its end, rank 0 lets the others go.

    Where rank 0 fails on its own the others may be in the middle of a step: they are not told,
    but see the connection close.

    Raises:
        SettingError: several processes at something other than ``train``.
    """
    count = read_ranks().count
    if count > 1 and verb != "train":
        raise SettingError(
            f"torchrun is for tellapart train alone, but got {count} processes at {verb}; "
            f"start tellapart {verb} without torchrun"
        )
    ranks = join_ranks(device)
    told = True
    try:
        yield ranks
    except BaseException as error:
        told = isinstance(error, Interrupted | NotFinite)
        raise
    finally:
        if ranks.leads and told:
            send_bytes(ranks)
        leave_ranks()
