"""The training loop, written out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import torch
from torch.nn import functional

from tellapart.config import TrainSettings
from tellapart.data.augment import draw_augmentation
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import cut_epoch, read_batches, shuffle_order
from tellapart.device import Meter, release_memory, seed_step, use_threads
from tellapart.errors import NotFinite
from tellapart.lock import lock_folder
from tellapart.metrics.scores import compute_loss, compute_score, estimate_score
from tellapart.models import count_parameters
from tellapart.models.forward import cast_forward, has_norm, predict_logits
from tellapart.records import EpochRow, RunRecord
from tellapart.stop import check_stop
from tellapart.train.augment import count_hits, make_examples
from tellapart.train.checkpoint import (
    BEST,
    copy_state,
    finish_run,
    is_finite,
    save_choice,
    save_weights,
    write_args,
    write_history,
)
from tellapart.train.learner import Learner, Task, hold_images, make_learner
from tellapart.train.optim import OFTEN, clear_tiny, schedule_rate, weigh_classes
from tellapart.train.progress import (
    Progress,
    Pulse,
    Tally,
    Tick,
    Watch,
    ignore_epoch,
    name_training,
    read_progress,
    save_progress,
    start_tally,
)
from tellapart.workspace import STATUS, expand_path, write_json


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset to train on, and those that the best epoch is chosen on."""

    train: Indices
    watch: Indices
    chosen_on: Literal["val", "test"] = "val"


def train_model(
    dataset: Dataset, rows: Rows, task: Task, folder: str | Path, watch: Watch = ignore_epoch
) -> RunRecord:
    """Train a network and leave its best weights, history and record in ``folder``.

    The order of images, the augmentation, dropout and the first weights are functions of the
    recipe's seed. Called again after a stop or a kill, it goes on from the newest checkpoint, and
    on a CPU, with as many threads and the same torch, comes to the same weights to the bit.

    Raises:
        NotFinite: the loss, or an output, was not finite; the best weights so far are kept.
        Interrupted: a stop was asked for; a checkpoint was written.
        WorkspaceError: another process works in the folder, or it cannot be written.
    """
    folder = expand_path(folder)
    with lock_folder(folder):
        record = fit_network(dataset, rows, task, folder, watch)
        finish_run(folder, record)
    return record


def fit_network(
    dataset: Dataset,
    rows: Rows,
    task: Task,
    folder: Path,
    watch: Watch = ignore_epoch,
    tick: Tick = lambda epochs: None,
) -> RunRecord:
    """Do as `train_model`, in a folder that the caller owns, up to `finish_run`."""
    recipe, truth, classes = task.recipe, dataset.labels[rows.watch], len(dataset.classes)
    learner = make_learner(dataset, rows.train, task)
    key = name_training(dataset, (rows.train, rows.watch), task, learner)
    write_args(folder, dataset, task.model, recipe)
    held = hold_images(dataset, learner.device)
    pulse = Pulse(task.every)
    with Meter() as meter, use_threads(learner.threads):
        progress = read_progress(folder, key, learner)
        history, quickest = progress.history, math.inf
        for epoch in range(len(history), recipe.epochs):
            tally = progress.tally
            start = time.perf_counter() - tally.seconds
            for part in train_epoch(learner, held, rows.train, recipe, epoch, tally):
                tick(epoch + part)
                if pulse.is_due():
                    if not is_finite(tally.loss):
                        _raise_not_finite(folder, task, progress)
                    tally.seconds = time.perf_counter() - start
                    pulse.rest(save_progress(folder, key, learner, progress, meter))
                    check_stop()
            began = time.perf_counter()
            kept, precision = learner.kept, learner.precision
            logits = predict_logits(kept, dataset, rows.watch, precision, recipe.mirrors)
            quickest = min(quickest, (time.perf_counter() - began) / max(1, len(truth)))
            if not (is_finite(tally.loss) and np.isfinite(logits).all()):
                _raise_not_finite(folder, task, progress)
            predicted = logits.argmax(1)
            row = EpochRow(
                epoch=epoch + 1,
                seconds=time.perf_counter() - start,
                lr=tally.rate,
                loss=tally.loss.item() / len(rows.train),
                accuracy=tally.hits.item() / len(rows.train),
                val_loss=compute_loss(logits, truth),
                val_accuracy=float((predicted == truth).mean()),
                val_score=compute_score(task.metric, truth, predicted, classes),
            )
            history.append(row)
            progress.tally = start_tally(learner.device)
            if progress.best_row is None or row.val_score > progress.best_row.val_score:
                progress.best_row, progress.best = row, copy_state(kept)
                progress.predicted = torch.from_numpy(predicted)
            watch(row)
            if 0 < recipe.patience <= row.epoch - progress.best_row.epoch:
                break
    assert progress.best_row is not None

    weights = save_weights(folder / BEST, progress.best)
    if task.keep == "both":
        save_weights(folder / "weights" / "last.safetensors", copy_state(learner.kept))
    write_history(folder / "history.csv", history, task.metric)
    predicted, groups = progress.predicted.numpy(), dataset.find_groups(rows.watch)
    record = RunRecord(
        cell=folder.name,
        folder=f"{folder.parent.name}/{folder.name}",
        model=task.model.name,
        label=task.model.label,
        description=task.model.description,
        settings=task.model.describe() | recipe.model_dump(exclude={"seed"}),
        seed=recipe.seed,
        parameters=count_parameters(learner.network),
        best_epoch=progress.best_row.epoch,
        chosen_on=rows.chosen_on,
        seconds=progress.seconds + meter.seconds,
        warm_up_seconds=learner.replay.seconds,
        predict_seconds=quickest if math.isfinite(quickest) else 0.0,
        peak_memory_mb=max(progress.peak_memory_mb, meter.peak_memory_mb),
        device=str(learner.device),
        threads=learner.threads,
        precision=learner.precision,
        val_accuracy=estimate_score("accuracy", truth, predicted, classes, groups),
        metric=task.metric,
        val_score=estimate_score(task.metric, truth, predicted, classes, groups),
        history=tuple(history),
        weights=weights,
        choice=save_choice(folder, predicted),
    )
    del learner, progress, held, kept
    release_memory()
    return record


def train_epoch(
    learner: Learner,
    dataset: Dataset,
    rows: Indices,
    recipe: TrainSettings,
    epoch: int,
    tally: Tally,
) -> Iterator[float]:
    """Train what is left of one epoch, a step each time the caller asks; give the part done.

    ``tally`` sums loss (nats) and hits over the epoch while the weights move, as Keras reports
    them, on the augmented images; steps that it has counted already are not done again. Where
    images are mixed, a hit is against the class with most weight in each, so accuracy stays low. A
    batch goes through in chunks that fit in memory; the gradient is that of the whole batch.
    """
    network, optimizer, device = learner.network, learner.optimizer, learner.device
    draws = draw_augmentation(
        recipe.augment, len(dataset), rows, dataset.image_size, recipe.seed, epoch
    )
    order = rows[shuffle_order(len(rows), recipe.seed, epoch)]
    bounds = cut_epoch(len(rows), recipe.batch_size, even=has_norm(network))
    steps, batches = len(bounds) - 1, [order[a:b] for a, b in pairwise(bounds)]
    weights = weigh_classes(recipe, dataset.labels[rows], len(dataset.classes), device)

    network.train()
    for batch in read_batches(dataset, batches[tally.step :]):
        step = epoch * steps + tally.step
        tally.rate = schedule_rate(recipe, step, recipe.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = tally.rate * group.get("scale", 1.0)
        seed_step(device, recipe.seed, epoch, tally.step)

        images, truth = make_examples(dataset, draws, batch, device)
        optimizer.zero_grad(set_to_none=True)
        run = learner.replay if len(images) <= learner.chunk else network
        total, hits = torch.zeros_like(tally.loss), torch.zeros_like(tally.hits)
        for part, answers in zip(
            torch.split(images, learner.chunk), torch.split(truth, learner.chunk), strict=True
        ):
            with cast_forward(device, learner.precision):
                logits = run(part)
            logits = logits.float()
            loss = functional.cross_entropy(
                logits, answers, weights, label_smoothing=recipe.label_smoothing, reduction="sum"
            )
            (loss / len(images)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            total += loss.detach()
            hits += count_hits(logits.detach(), answers)
        optimizer.step()
        tally.loss += total
        tally.hits += hits
        tally.step += 1
        if device.type == "cpu" and (step + 1) % OFTEN == 0:
            clear_tiny(optimizer)
        learner.advance_average(step + 1)
        yield tally.step / steps


def _raise_not_finite(folder: Path, task: Task, progress: Progress) -> NoReturn:
    """Leave the best weights so far and a status that says why there is no record, and raise."""
    error = NotFinite(
        f"training stopped: the loss or an output of epoch {len(progress.history) + 1} is "
        f"not finite; use a learning rate below {task.recipe.lr:g}"
    )
    error.seconds = sum(row.seconds for row in progress.history)
    if progress.best:
        save_weights(folder / BEST, progress.best)
    write_history(folder / "history.csv", progress.history, task.metric)
    status = {"status": "failed: not finite", "note": str(error), "seconds": error.seconds}
    write_json(folder / STATUS, status)
    raise error
