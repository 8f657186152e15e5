"""The training loop, written out."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tellapart.config import SIZES, ModelSettings, TrainSettings
from tellapart.data.augment import draw_augmentation
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import iterate_batches, shuffle_order
from tellapart.device import (
    DeviceName,
    Meter,
    Precision,
    choose_device,
    choose_precision,
    prepare_process,
    release_memory,
)
from tellapart.errors import TellapartError
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import compute_loss
from tellapart.models import Shape, adapt_model, count_parameters, make_model
from tellapart.models.forward import cast_forward, limit_chunk, predict_logits, prepare_batch
from tellapart.records import EpochRow, RunRecord, Scalar
from tellapart.train.augment import count_hits, make_examples
from tellapart.train.checkpoint import State, copy_state, save_weights, write_args
from tellapart.train.optim import make_optimizer, schedule_rate
from tellapart.workspace import write_json, write_text

ADAPT_IMAGES = 2000
"""Images that a network may look at before it is trained."""

Watch = Callable[[EpochRow], None]


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset to train on, and those that the best epoch is chosen on."""

    train: Indices
    watch: Indices
    chosen_on: Literal["val", "test"] = "val"


@dataclass(frozen=True)
class Task:
    """One training: the network, the recipe, the device, and whether weights are kept.

    ``keep`` is ``both`` (best and last), or ``best`` where many trainings share a disk.
    """

    model: ModelSettings
    recipe: TrainSettings
    device: DeviceName = "auto"
    keep: Literal["both", "best"] = "both"


@dataclass(frozen=True)
class Pace:
    """How one epoch runs: the recipe, which epoch, the number format, images at once."""

    recipe: TrainSettings
    epoch: int
    precision: Precision
    chunk: int


def ignore_epoch(row: EpochRow) -> None:
    """Do nothing with a finished epoch."""


def train_model(
    dataset: Dataset, rows: Rows, task: Task, folder: Path, watch: Watch = ignore_epoch
) -> RunRecord:
    """Train a network and leave its best weights, history and record in ``folder``.

    ``watch`` is called after each epoch. The order of images, the augmentation and the first
    weights are functions of the recipe's seed.

    Raises:
        TellapartError: the loss, or an output, was not finite; nothing is promoted to a result.
    """
    recipe = task.recipe
    network, optimizer, precision, chunk = make_training(dataset, rows.train, task)
    device = next(network.parameters()).device

    history: list[EpochRow] = []
    best: State = {}
    best_row: EpochRow | None = None
    with Meter() as meter:
        for epoch in range(recipe.epochs):
            start = time.perf_counter()
            loss, accuracy, rate = train_epoch(
                network, optimizer, dataset, rows.train, Pace(recipe, epoch, precision, chunk)
            )
            logits = predict_logits(network, dataset, rows.watch, device, precision)
            if not (math.isfinite(loss) and np.isfinite(logits).all()):
                raise TellapartError(
                    f"training stopped: the loss ({loss:g}) or an output of epoch {epoch + 1} is "
                    f"not finite; use a learning rate below {recipe.lr:g}"
                )
            truth = dataset.labels[rows.watch]
            row = EpochRow(
                epoch=epoch + 1,
                seconds=time.perf_counter() - start,
                lr=rate,
                loss=loss,
                accuracy=accuracy,
                val_loss=compute_loss(logits, truth),
                val_accuracy=float((logits.argmax(1) == truth).mean()),
            )
            history.append(row)
            if best_row is None or row.val_accuracy > best_row.val_accuracy:
                best_row, best = row, copy_state(network)
            watch(row)
    assert best_row is not None

    save_weights(folder / "weights" / "best.safetensors", best)
    if task.keep == "both":
        save_weights(folder / "weights" / "last.safetensors", copy_state(network))
    write_args(folder, dataset, task.model, recipe)
    write_history(folder / "history.csv", history)
    hits = round(best_row.val_accuracy * len(rows.watch))
    record = RunRecord(
        cell=folder.name,
        folder=f"{folder.parent.name}/{folder.name}",
        model=task.model.name,
        settings=describe_settings(task.model, recipe),
        seed=recipe.seed,
        parameters=count_parameters(network),
        best_epoch=best_row.epoch,
        chosen_on=rows.chosen_on,
        seconds=meter.seconds,
        peak_memory_mb=meter.peak_memory_mb,
        device=str(device),
        precision=precision,
        val_accuracy=estimate_proportion(hits, len(rows.watch)),
        history=tuple(history),
    )
    write_json(folder / "record.json", record)
    del network, optimizer, best
    release_memory()
    return record


def make_training(
    dataset: Dataset, rows: Indices, task: Task
) -> tuple[nn.Module, torch.optim.Optimizer, Precision, int]:
    """Return network, optimiser, number format, and how many images go through at once.

    Args:
        rows: training images; the network may look at some before it is trained.
    """
    model, recipe, device = task.model, task.recipe, choose_device(task.device)
    precision = resolve_precision(recipe, device)
    prepare_process(recipe.seed)
    shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
    network = make_model(model, shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    seen = np.sort(rows[shuffle_order(len(rows), recipe.seed, 0)][:ADAPT_IMAGES])
    adapt_model(network, prepare_batch(dataset.source.read(seen), device))
    optimizer = make_optimizer(network, recipe)
    chunk = limit_chunk(network, dataset, device)
    if any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        chunk = recipe.batch_size  # its statistics are those of the whole batch
    return network, optimizer, precision, chunk


def resolve_precision(recipe: TrainSettings, device: torch.device) -> Precision:
    """Return the number format that a recipe means on a device."""
    return choose_precision(device) if recipe.precision == "auto" else recipe.precision


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    rows: Indices,
    pace: Pace,
) -> tuple[float, float, float]:
    """Train one epoch; return mean loss (nats), accuracy, and the last learning rate.

    Loss and accuracy are means over the epoch while the weights move, as Keras reports them, on
    the augmented images. Where images are mixed (mixup, cutmix), accuracy is against the class
    with most weight in each, so it stays low: compare accuracies on val.
    A batch goes through in chunks that fit in memory; the gradient is that of the whole batch.
    """
    recipe, epoch = pace.recipe, pace.epoch
    device = next(network.parameters()).device
    draws = draw_augmentation(
        recipe.augment, len(dataset), rows, dataset.image_size, recipe.seed, epoch
    )
    order = rows[shuffle_order(len(rows), recipe.seed, epoch)]
    steps = math.ceil(len(rows) / recipe.batch_size)
    loss_sum = torch.zeros((), device=device)
    hits = torch.zeros((), dtype=torch.int64, device=device)
    rate = recipe.lr

    network.train()
    batches = iterate_batches(dataset, order, recipe.batch_size)
    for step, batch in enumerate(batches):
        rate = schedule_rate(recipe, epoch * steps + step, recipe.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)

        images, truth = make_examples(dataset, draws, batch, device)
        optimizer.zero_grad(set_to_none=True)
        for part, answers in zip(
            torch.split(images, pace.chunk), torch.split(truth, pace.chunk), strict=True
        ):
            with cast_forward(device, pace.precision):
                logits = network(part)
            logits = logits.float()
            loss = functional.cross_entropy(
                logits, answers, label_smoothing=recipe.label_smoothing, reduction="sum"
            )
            (loss / len(truth)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            loss_sum += loss.detach()
            hits += count_hits(logits.detach(), answers)
        optimizer.step()
    return loss_sum.item() / len(rows), hits.item() / len(rows), rate


def describe_settings(model: ModelSettings, recipe: TrainSettings) -> dict[str, Scalar]:
    """Return the settings that have a say in a training; the seed is recorded beside them."""
    own: dict[str, Scalar] = model.model_dump(include=set(SIZES[model.name]))
    return own | recipe.model_dump(exclude={"seed"})


def write_history(path: Path, history: list[EpochRow]) -> None:
    """Write ``history.csv``, one line an epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EpochRow.model_fields)
    for row in history:
        writer.writerow(f"{value:.6g}" for value in row.model_dump().values())
    write_text(path, text.getvalue())
