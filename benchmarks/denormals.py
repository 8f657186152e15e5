"""What numbers below 1e-38 cost: ms a step over three epochs, with and without them.

    python benchmarks/denormals.py FOLDER --width 128

FOLDER holds CIFAR-10's binary batches. The momentum of a unit that no longer fires falls by a
tenth a step, to such numbers after some 800 steps; the share of them is printed beside the pace
of each quarter of an epoch. The two settings run one after the other, each in a fresh process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tellapart.data import load_images
from tellapart.models import make_network_settings
from tellapart.study.rules import plan_recipe
from tellapart.study.settings import StudySettings
from tellapart.train import loop
from tellapart.train.learner import Task, make_learner
from tellapart.train.loop import train_epoch
from tellapart.train.progress import start_tally

EPOCHS, PARTS = 3, 4
LEAST = torch.finfo(torch.float32).tiny


def measure(folder: Path, width: int, cleared: bool) -> None:
    """Train the simple network, and print a line an epoch."""
    dataset = load_images("cifar10", folder)
    rows = np.arange(45_000, dtype=np.int64)
    model = make_network_settings("simple", width=width)
    recipe = plan_recipe(StudySettings(epochs=EPOCHS), "conv", len(rows), 0, model)
    learner = make_learner(dataset, rows, Task(model, recipe))
    if not cleared:
        vars(loop)["OFTEN"] = 1 << 40
    part = -(-len(rows) // recipe.batch_size) // PARTS
    for epoch in range(EPOCHS):
        tally, start, paces = start_tally(learner.device), time.perf_counter(), []
        for _ in train_epoch(learner, dataset, rows, recipe, epoch, tally):
            if tally.step % part == 0:
                paces.append(f"{1000 * (time.perf_counter() - start) / part:.1f}")
                start = time.perf_counter()
        moments = [state["exp_avg"].abs() for state in learner.optimizer.state.values()]
        tiny = sum(int(((m != 0) & (m < LEAST)).sum()) for m in moments)
        share = tiny / sum(m.numel() for m in moments)
        said = "cleared" if cleared else "kept"
        print(
            f"{width}, {said}, epoch {epoch + 1}: {' '.join(paces)} ms a step, {share:.0%} of "
            "momentum below 1e-38",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--one", choices=["kept", "cleared"])
    args = parser.parse_args()
    if args.one:
        measure(args.folder, args.width, args.one == "cleared")
        return
    for one in ("kept", "cleared"):
        subprocess.run([sys.executable, *sys.argv, "--one", one], check=True)


if __name__ == "__main__":
    main()
