"""Where the time of a training step goes, and what share of the machine's peak is reached.

    python benchmarks/profile_step.py FOLDER deep
    python benchmarks/profile_step.py FOLDER simple --width 1024 --batch 256

FOLDER holds CIFAR-10's binary batches. Steps run under torch's profiler after a warm-up; the time
of each operator is its own, without the operators that it calls. The peak is that of a product of
two square matrices in the training's number format, measured in the same process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from tellapart.config import NOTEBOOK
from tellapart.data import load_images
from tellapart.models import make_network_settings
from tellapart.train.learner import Task, make_learner
from tellapart.train.loop import train_epoch
from tellapart.train.progress import start_tally

SIDE = 2048


def measure_peak(precision: str) -> float:
    """Return operations a second of a product of square matrices, the best of ten."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    first, second = (torch.randn(SIDE, SIDE, dtype=kind) for _ in range(2))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        first @ second
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=["simple", "deep", "speed"])
    parser.add_argument("--width", type=int)
    parser.add_argument("--dense", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()

    dataset = load_images("cifar10", args.folder)
    rows = np.arange(args.batch * args.steps, dtype=np.int64)
    model = make_network_settings(args.network, width=args.width, dense=args.dense)
    recipe = model.recipe if args.network == "speed" else NOTEBOOK
    recipe = recipe.model_copy(update={"batch_size": args.batch})
    learner = make_learner(dataset, rows, Task(model, recipe))

    def train(count: int) -> float:
        start = time.perf_counter()
        some, tally = rows[: args.batch * count], start_tally(learner.device)
        for _ in train_epoch(learner, dataset, some, recipe, 0, tally):
            pass
        return time.perf_counter() - start

    train(3)
    with FlopCounterMode(display=False) as counter:
        train(1)
    seconds = min(train(args.steps) for _ in range(3)) / args.steps
    with profile(activities=[ProfilerActivity.CPU]) as found:
        train(args.steps)
    own = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    total = sum(own.values())
    rate, peak = counter.get_total_flops() / seconds, measure_peak(learner.precision)
    print(
        f"{args.network}, batch {args.batch}, {learner.precision}: {1000 * seconds:.1f} ms a step, "
        f"{args.batch / seconds:,.0f} images/s, {rate / 1e9:,.0f} GFLOP/s of {peak / 1e9:,.0f} "
        f"({rate / peak:.0%})"
    )
    for name, spent in sorted(own.items(), key=lambda pair: -pair[1])[:14]:
        print(f"  {spent / total:5.1%}  {name}")


if __name__ == "__main__":
    main()
