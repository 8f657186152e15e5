"""A sweep of small cells in two processes of one core each, against one process with all cores.

    python benchmarks/processes.py --pairs 5

Runs the same sweep of the embedded digits in turn, and prints the seconds of the step (start of the
processes included) and their ratio for each pair. At the end it trains the sweep in one process
with one thread and says whether the weights of all cells are those of the two processes, bit for
bit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = "16,32,64,128"


def sweep(
    folder: Path, processes: int, seeds: int, epochs: int, threads: int | None = None
) -> float:
    """Run the sweep in a fresh process, and return the seconds of its step."""
    command = [sys.executable, "-m", "tellapart", "sweep", "digits", "--vary", f"width={SIZES}"]
    command += ["--seeds", f"{seeds}", "--epochs", f"{epochs}", "--processes", f"{processes}"]
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    subprocess.run(
        [*command, "--out", str(folder)], check=True, capture_output=True, env=environment
    )
    results = json.loads((folder / "results.json").read_text())
    return float(results["steps"]["conv"]["seconds"])


def read_weights(folder: Path) -> dict[str, bytes]:
    """Return the weights of all cells by size and seed."""
    return {
        path.parent.parent.name.rpartition("-")[0]: path.read_bytes()
        for path in folder.glob("conv/*/weights/best.safetensors")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for pair in range(args.pairs):
            one, two = (
                sweep(root / f"{pair}-{count}", count, args.seeds, args.epochs) for count in (1, 2)
            )
            ratios.append(one / two)
            print(json.dumps({"one": one, "two": two, "ratio": one / two}), flush=True)
        alone = sweep(root / "alone", 1, args.seeds, args.epochs, threads=1)
        same = read_weights(root / "alone") == read_weights(root / "0-2")
        cells = len(read_weights(root / "alone"))
    spread = (min(ratios), max(ratios))
    print(
        json.dumps(
            {
                "median ratio": statistics.median(ratios),
                "least to most": spread,
                "cells": cells,
                "one thread alone": alone,
                "weights equal": same,
            }
        )
    )


if __name__ == "__main__":
    main()
