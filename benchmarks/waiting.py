"""What other work on the machine costs a training, by how OpenMP's threads wait for each other.

    python benchmarks/waiting.py [--turns 3] [--before FOLDER]

Processes take turns, one for each way of waiting: a thread that waits spins for OpenMP's own number
of spins (some milliseconds), for fewer, or sleeps at once; and, with ``--before``, the source of
another version in that folder, as it waits by itself. Each does the same pieces of work twice and
counts the second time. Half of the turns are beside a process that keeps one core busy. Prints
Markdown tables: seconds of each piece (median of the turns), and the peak memory. The images are
the embedded digits, at their size or enlarged, and the features are made up: only time matters.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

WAYS: dict[str, dict[str, str]] = {
    "300,000 spins": {"GOMP_SPINCOUNT": "300000"},
    "10,000 spins": {"GOMP_SPINCOUNT": "10000"},
    "1,000 spins": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
BUSY = "while True: pass"


def list_works(folder: Path) -> dict[str, Callable[[], object]]:
    """Return the pieces of work by name."""
    import numpy as np

    from tellapart import HeadSettings, Rows, Task, fit_head, load_images, make_network_settings
    from tellapart.data.dataset import resize_dataset
    from tellapart.train.loop import train_model
    from tellapart.transfer.head import Examples
    from tellapart.transfer.logistic import fit_logistic

    digits = load_images("digits")
    large = resize_dataset(digits, 32)
    rows = Rows(np.arange(1280), np.arange(1280, 1480))
    draw = np.random.default_rng(0)
    labels = np.arange(1800) % 6
    vectors = draw.normal(labels[:, None] / 6, 1, (1800, 1280)).astype(np.float16)
    examples = Examples(vectors, labels)
    parts = Rows(np.arange(1500), np.arange(1500, 1800))

    def train(data: object, name: str, epochs: int) -> Callable[[], object]:
        model = make_network_settings(name)
        recipe = model.recipe.model_copy(update={"epochs": epochs})
        task = Task(model, recipe, "cpu")
        return lambda: train_model(data, rows, task, folder / f"{name}-{time.monotonic_ns()}")  # type: ignore[arg-type]  # a Dataset

    return {
        "simple, digits, 100 epochs": train(digits, "simple", 100),
        "deep, 32 px, 10 epochs": train(large, "deep", 10),
        "speed, 32 px, 10 epochs": train(large, "speed", 10),
        "logistic head": lambda: fit_logistic(
            examples, parts, HeadSettings(kind="logistic"), folder / f"l-{time.monotonic_ns()}"
        ),
        "dense head, 10 epochs": lambda: fit_head(
            examples, parts, HeadSettings(epochs=10), folder / f"d-{time.monotonic_ns()}"
        ),
    }


def work() -> None:
    """Do each piece twice, print the seconds of the second time."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, act in list_works(Path(folder)).items():
            act()
            start = time.perf_counter()
            act()
            found[name] = time.perf_counter() - start
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def measure(way: str, busy: bool) -> dict[str, float]:
    """Return what a process says that waits in one way."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_"))}
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--work"],
            env=plain | WAYS[way],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if other is not None:
            other.kill()
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work()
        return
    if args.before:
        WAYS["before"] = {"PYTHONPATH": str(args.before)}
    for busy in (False, True):
        seen: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(args.turns):
            for way in WAYS:
                seen[way].append(measure(way, busy))
        print(f"\n{'one core busy' if busy else 'quiet'}, seconds, median of {args.turns}\n")
        print(f"| work | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}")
        for name in seen["passive"][0]:
            cells = (f"{median(one[name] for one in seen[way]):.2f}" for way in WAYS)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
