"""How fast tellapart trains a network on CIFAR-10, by the loop that its commands use.

    python benchmarks/pace.py FOLDER deep --images 20000 --epochs 2

FOLDER holds CIFAR-10's binary batches. The reference study's recipe (Adam at 1e-3, a constant
rate) unless ``--batch`` says otherwise. Prints one JSON line an epoch, and a last one with the peak
memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from tellapart.config import NOTEBOOK
from tellapart.data import load_images
from tellapart.models import make_network_settings
from tellapart.study.rules import scale_rate
from tellapart.train.learner import Task, hold_images, make_learner
from tellapart.train.loop import train_epoch
from tellapart.train.progress import start_tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=["simple", "deep", "speed", "resnet"])
    parser.add_argument("--width", type=int)
    parser.add_argument("--dense", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()

    dataset = load_images("cifar10", args.folder)
    rows = np.arange(min(args.images, len(dataset)), dtype=np.int64)
    model = make_network_settings(args.network, width=args.width, dense=args.dense)
    recipe = model.recipe if args.network == "speed" else NOTEBOOK
    recipe = scale_rate(recipe, args.batch).model_copy(update={"epochs": args.epochs})
    learner = make_learner(dataset, rows, Task(model, recipe))
    dataset = hold_images(dataset, learner.device)
    for epoch in range(args.epochs):
        start, tally = time.perf_counter(), start_tally(learner.device)
        for _ in train_epoch(learner, dataset, rows, recipe, epoch, tally):
            pass
        row = {"epoch": epoch + 1, "loss": tally.loss.item() / len(rows)}
        row |= {"accuracy": tally.hits.item() / len(rows)}
        print(json.dumps(row | {"seconds": time.perf_counter() - start}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"precision": learner.precision, "chunk": learner.chunk, "peak_mib": peak}
    said["warm_up_seconds"] = learner.replay.seconds
    print(json.dumps(said))


if __name__ == "__main__":
    main()
