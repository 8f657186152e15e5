"""Whether speednet needs tuning: its default settings on data that they were not made for.

    python benchmarks/untuned.py --folder DATA/trashnet

Digits at 8 px; the same as grey images of 28 px, each somewhere else in the frame and in noise; and
a folder of photographs, at the size that tellapart chooses. Beside it the simple network. Both as
``tellapart train`` would have them, no flag given; val accuracy of the best epoch.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tellapart.data import load_images
from tellapart.data.dataset import ArraySource, Dataset
from tellapart.data.digits import load_digits
from tellapart.data.split import make_split
from tellapart.models import make_network_settings
from tellapart.study.rules import plan_recipe
from tellapart.study.settings import StudySettings
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

SEEDS = 3
NETWORKS = ("simple", "speed")
SIDE, SCALE = 28, 2


def scatter_digits() -> Dataset:
    """Return the digits twice as large, anywhere in a noisy grey frame."""
    digits = load_digits()
    pixels = digits.source.read(np.arange(len(digits)))[..., 0]
    large = pixels.repeat(SCALE, 1).repeat(SCALE, 2)
    draw = np.random.default_rng(0)
    frames = draw.integers(0, 80, (len(digits), SIDE, SIDE, 1), np.uint8)
    side = large.shape[1]
    for frame, digit in zip(frames, large, strict=True):
        top, left = draw.integers(0, SIDE - side + 1, 2)
        part = frame[top : top + side, left : left + side, 0]
        np.maximum(part, digit, out=part)
    return replace(
        digits, name="digits in noise", source=ArraySource(frames), image_size=SIDE, size_reason=""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    datasets = [load_digits(), scatter_digits()]
    if args.folder:
        datasets.append(load_images(str(args.folder)))
    print("| data | network | val accuracy, mean (each seed) | epochs | seconds |")
    print("|---|---|---|---|---|")
    for dataset in datasets:
        split = make_split(dataset)
        rows = Rows(split.train, split.val)
        for name in NETWORKS:
            found, seconds, epochs = [], 0.0, 0
            model = make_network_settings(name)
            for seed in range(SEEDS):
                recipe = plan_recipe(StudySettings(), "baseline", len(rows.train), seed, model)
                with tempfile.TemporaryDirectory() as folder:
                    run = train_model(dataset, rows, Task(model, recipe), Path(folder))
                found.append(100 * run.val_accuracy.value)
                seconds, epochs = seconds + run.seconds, recipe.epochs
            each = ", ".join(f"{value:.1f}" for value in found)
            print(
                f"| {dataset.name}, {dataset.image_size} px, {len(rows.train):,} train, "
                f"{len(rows.watch):,} val | {name} | {np.mean(found):.1f} % ({each}) | "
                f"{epochs} | {seconds / SEEDS:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
