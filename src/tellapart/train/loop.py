"""The training loop, written out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from tellapart.config import TrainSettings
from tellapart.data.augment import draw_augmentation
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loader import cut_epoch, read_batches, shuffle_order, split_batch
from tellapart.device import Meter, release_memory, seed_step, use_threads
from tellapart.lock import lock_folder
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import compute_loss
from tellapart.models import count_parameters
from tellapart.models.forward import cast_forward, has_norm, predict_logits
from tellapart.records import EpochRow, RunRecord
from tellapart.stop import check_stop
from tellapart.train.augment import count_hits, make_examples
from tellapart.train.checkpoint import BEST, copy_state, save_weights, write_args
from tellapart.train.held import hold_images
from tellapart.train.learner import Learner, Task, make_learner
from tellapart.train.norm import share_norms
from tellapart.train.optim import OFTEN, clear_tiny, schedule_rate, weigh_classes
from tellapart.train.outcome import finish_run, raise_not_finite, write_history
from tellapart.train.progress import (
    Pulse,
    Tally,
    Tick,
    Watch,
    ignore_epoch,
    ignore_step,
    name_training,
    read_progress,
    save_progress,
    start_tally,
)
from tellapart.train.ranks import (
    ALONE,
    Ranks,
    agree_on,
    agree_stop,
    gather_logits,
    join_ranks,
    sum_step,
)
from tellapart.train.resume import is_finite
from tellapart.workspace import expand_path


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset to train on, and those that the best epoch is chosen on."""

    train: Indices
    watch: Indices
    chosen_on: Literal["val", "test"] = "val"


@dataclass(frozen=True)
class Pace:
    """How one epoch runs: the recipe, which epoch, by whom."""

    recipe: TrainSettings
    epoch: int
    ranks: Ranks = ALONE


def train_model(
    dataset: Dataset, rows: Rows, task: Task, folder: str | Path, watch: Watch = ignore_epoch
) -> RunRecord:
    """Train a network and leave its best weights, history and record in ``folder``.

    ``watch`` is called after each epoch. The order of images, the augmentation, dropout and the
    first weights are functions of the recipe's seed. Called again after a stop or a kill, it
    goes on from the newest checkpoint, and on a CPU, with as many threads and the same torch,
    comes to the same weights to the bit.

    Under ``torchrun`` all processes call it alike. Each has its share of every batch, they come to
    what one process comes to but for rounding (dropout alone draws other numbers), and rank 0
    alone writes, measures and calls ``watch``. Any number of processes can go on from a checkpoint.

    Raises:
        NotFinite: the loss, or an output, was not finite; the best weights so far are kept.
        Interrupted: a stop was asked for; a checkpoint was written.
        WorkspaceError: another process works in the folder, or it cannot be written.
    """
    folder, ranks = expand_path(folder), join_ranks(task.device)
    with lock_folder(folder) if ranks.leads else nullcontext():
        record = fit_network(dataset, rows, task, folder, watch)
        if ranks.leads:
            finish_run(folder, record)
    return record


def fit_network(
    dataset: Dataset,
    rows: Rows,
    task: Task,
    folder: Path,
    watch: Watch = ignore_epoch,
    tick: Tick = ignore_step,
) -> RunRecord:
    """Do as `train_model`, in a folder that the caller owns, up to `finish_run`."""
    recipe, ranks = task.recipe, join_ranks(task.device)
    learner = make_learner(dataset, rows.train, task)
    if ranks.count > 1:
        share_norms(learner.network)
    device, precision = learner.device, learner.precision
    truth, share = dataset.labels[rows.watch], split_batch(rows.watch, ranks.rank, ranks.count)
    used = (rows.train, rows.watch)
    begin = (task.settings, recipe, *([] if task.key is None else [task.key]))
    key = name_training(dataset, used, *begin, device.type, precision)
    if ranks.leads:
        write_args(folder, dataset, task.settings, recipe)
    held = hold_images(dataset, device)
    pulse = Pulse(task.every if ranks.leads else math.inf)
    with Meter() as meter, use_threads(learner.threads):
        progress = read_progress(folder, key, learner, ranks)
        history, quickest = progress.history, math.inf
        for epoch in range(len(history), recipe.epochs):
            tally = progress.tally
            start = time.perf_counter() - tally.seconds
            pace = Pace(recipe, epoch, ranks)
            for part in train_epoch(learner, held, rows.train, pace, tally):
                tick(epoch + part)
                if agree_on(ranks, pulse.is_due()):
                    if not is_finite(tally.loss):
                        raise_not_finite(folder, progress, recipe.lr, ranks)
                    tally.seconds = time.perf_counter() - start
                    if ranks.leads:
                        pulse.rest(save_progress(folder, key, learner, progress, meter))
                    if agree_stop(ranks):
                        check_stop()
            looked = time.perf_counter()
            own = predict_logits(learner.kept, dataset, share, precision, recipe.mirrors)
            quickest = min(quickest, (time.perf_counter() - looked) / max(1, len(share)))
            logits = gather_logits(ranks, own, rows.watch)
            if not (is_finite(tally.loss) and np.isfinite(logits).all()):
                raise_not_finite(folder, progress, recipe.lr, ranks)
            row = EpochRow(
                epoch=epoch + 1,
                seconds=time.perf_counter() - start,
                lr=tally.rate,
                loss=tally.loss.item() / len(rows.train),
                accuracy=tally.hits.item() / len(rows.train),
                val_loss=compute_loss(logits, truth),
                val_accuracy=float((logits.argmax(1) == truth).mean()),
            )
            history.append(row)
            progress.tally = start_tally(device)
            if progress.best_row is None or row.val_accuracy > progress.best_row.val_accuracy:
                progress.best_row, progress.best = row, copy_state(learner.kept)
            if ranks.leads:
                watch(row)
            if 0 < recipe.patience <= row.epoch - progress.best_row.epoch:
                break
    best_row = progress.best_row
    assert best_row is not None

    weights = ""  # of several processes, one writes them
    if ranks.leads:
        weights = save_weights(folder / BEST, progress.best)
        if task.keep == "both":
            save_weights(folder / "weights" / "last.safetensors", copy_state(learner.kept))
        write_history(folder / "history.csv", history)
    hits = round(best_row.val_accuracy * len(rows.watch))
    record = RunRecord(
        cell=folder.name,
        folder=f"{folder.parent.name}/{folder.name}",
        model=task.name,
        settings=task.describe(),
        seed=recipe.seed,
        parameters=count_parameters(learner.network),
        best_epoch=best_row.epoch,
        chosen_on=rows.chosen_on,
        seconds=progress.seconds + meter.seconds,
        warm_up_seconds=learner.replay.seconds,
        predict_seconds=quickest if math.isfinite(quickest) else 0.0,
        peak_memory_mb=max(progress.peak_memory_mb, meter.peak_memory_mb),
        device=str(device),
        threads=learner.threads,
        precision=precision,
        val_accuracy=estimate_proportion(hits, len(rows.watch)),
        history=tuple(history),
        weights=weights,
    )
    del learner, progress, held
    release_memory()
    return record


def train_epoch(
    learner: Learner, dataset: Dataset, rows: Indices, pace: Pace, tally: Tally
) -> Iterator[float]:
    """Train what is left of one epoch, a step each time the caller asks; give the part done.

    ``tally`` sums loss (nats) and hits over the epoch while the weights move, as Keras reports
    them, on the augmented images, and counts the steps; those that it has counted already are not
    done again. Where images are mixed (mixup, cutmix), a hit is against the class with most weight
    in each, so accuracy stays low: compare accuracies on val. A batch goes through in chunks that
    fit in memory; the gradient is that of the whole batch, all ranks' shares of it together.
    """
    recipe, epoch, ranks = pace.recipe, pace.epoch, pace.ranks
    network, optimizer, device = learner.network, learner.optimizer, learner.device
    draws = draw_augmentation(
        recipe.augment, len(dataset), rows, dataset.image_size, recipe.seed, epoch
    )
    order = rows[shuffle_order(len(rows), recipe.seed, epoch)]
    bounds = cut_epoch(len(rows), recipe.batch_size, even=has_norm(network))
    steps, whole = len(bounds) - 1, [order[a:b] for a, b in pairwise(bounds)][tally.step :]
    weights = weigh_classes(recipe, dataset.labels[rows], len(dataset.classes), device)

    network.train()
    parts = [split_batch(batch, ranks.rank, ranks.count) for batch in whole]
    for batch in read_batches(dataset, parts):
        count = bounds[tally.step + 1] - bounds[tally.step]
        tally.rate = schedule_rate(recipe, epoch * steps + tally.step, recipe.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = tally.rate * group.get("scale", 1.0)
        seed_step(device, recipe.seed, epoch, tally.step, ranks.rank)

        images, truth = make_examples(dataset, draws, batch, device)
        optimizer.zero_grad(set_to_none=True)
        alone = ranks.count == 1 and len(images) <= learner.chunk
        run = learner.replay if alone else network
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
            (loss / count).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            total += loss.detach()
            hits += count_hits(logits.detach(), answers)
        if ranks.count > 1:
            sum_step(network, total, hits)
        optimizer.step()
        tally.loss += total
        tally.hits += hits
        tally.step += 1
        if device.type == "cpu" and (epoch * steps + tally.step) % OFTEN == 0:
            clear_tiny(optimizer)
        learner.advance_average(epoch * steps + tally.step)
        yield tally.step / steps
