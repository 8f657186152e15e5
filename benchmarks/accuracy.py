"""Accuracy against time on CIFAR-10's batches 1 to 4, tested on the 10,000 images of batch 5.

    python benchmarks/accuracy.py FOLDER speed --width 64 --epochs 10 --augment flip+shift --seeds 3
    python benchmarks/accuracy.py FOLDER deep --epochs 7 --lr 0.1
    python benchmarks/accuracy.py FOLDER speed --width 64 --augment flip+shift --official

FOLDER holds CIFAR-10's binary batches. Nothing is chosen on batch 5: the figure is that after the
last epoch (``last``); the best of all epochs is printed beside it, as a reference that chooses its
epoch on the test images would have it. ``--official`` trains on all 50,000 and tests on the
official test images there are. Seconds are of training and of one look at the tested images an
epoch. Prints one JSON line an epoch, and one a seed.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path

import numpy as np

from tellapart.config import RecipeSettings, choose_recipe, make_settings
from tellapart.data import load_images
from tellapart.metrics.intervals import estimate_proportion
from tellapart.models import make_network_settings
from tellapart.records import EpochRow
from tellapart.study.rules import scale_rate
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

HELD_OUT = 40_000


def show(row: EpochRow) -> None:
    """Print an epoch."""
    print(json.dumps(row.model_dump()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=["simple", "deep", "speed"])
    parser.add_argument("--width", type=int)
    parser.add_argument("--dense", type=int)
    parser.add_argument("--convs", type=int)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--optimizer", choices=["adam", "sgd", "muon"])
    parser.add_argument("--lr", type=float)
    parser.add_argument("--averaging", type=float)
    parser.add_argument("--augment", default="none")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--official", action="store_true")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    args = parser.parse_args()

    dataset = load_images("cifar10", args.folder)
    first, end = (50_000, len(dataset)) if args.official else (HELD_OUT, 50_000)
    rows = Rows(np.arange(first), np.arange(first, end), "test")
    model = make_network_settings(
        args.network, width=args.width, dense=args.dense, convs=args.convs
    )
    given = make_settings(
        RecipeSettings,
        optimizer=args.optimizer,
        augment=args.augment,
        lr=args.lr,
        averaging=args.averaging,
    )
    asked = given.model_dump(exclude_none=True)
    for seed in range(args.first, args.first + args.seeds):
        recipe = scale_rate(choose_recipe(model.recipe, given), args.batch)
        recipe = recipe.model_copy(update=asked | {"epochs": args.epochs, "seed": seed})
        with tempfile.TemporaryDirectory() as folder:
            run = train_model(dataset, rows, Task(model, recipe), Path(folder), show)
        last, n = run.history[-1].val_accuracy, len(rows.watch)
        said = {
            "network": args.network,
            "parameters": run.parameters,
            "settings": run.settings,
            "seed": seed,
            "last": estimate_proportion(round(last * n), n).model_dump(),
            "best": run.val_accuracy.value,
            "seconds": sum(row.seconds for row in run.history),
            "precision": run.precision,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
