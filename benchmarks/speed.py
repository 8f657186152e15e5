"""Training speed against Keras on TensorFlow, and against a textbook PyTorch script.

    python benchmarks/speed.py FOLDER --peers .peers/bin/python

FOLDER holds CIFAR-10's binary batches; the peers' Python has `benchmarks/requirements-peers.txt`.
Each figure is of processes that take turns: ours, then theirs in each number format, five times.
Every process trains two epochs on the same images, and the second is timed: no start-up, no
compilation. Prints a Markdown table: images a second (median), the ratio of each pair (median,
least, most), and the peak memory of a process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
KERAS, TEXTBOOK, OURS = (
    HERE / name for name in ("peers/keras_reference.py", "peers/textbook.py", "pace.py")
)


@dataclass(frozen=True)
class Case:
    """One network against one peer; ``batches`` are ours, theirs is 64."""

    name: str
    network: tuple[str, ...]
    images: int
    batches: tuple[int, ...] = (64,)
    textbook: bool = False


POLICIES = ("float32", "mixed_bfloat16")
WIDE, DENSE = ("simple", "--width", "1024"), ("simple", "--width", "64", "--dense", "2048")
CASES = (
    Case("deep", ("deep",), 9_600),
    Case("simple 32/128", ("simple",), 12_800),
    Case("simple 1024/128", WIDE, 1_024, (64, 256)),
    Case("simple 64/2048", DENSE, 2_048, (64, 256)),
    Case("deep, textbook PyTorch", ("deep",), 9_600, textbook=True),
)


def run_once(command: list[str], images: int) -> tuple[float, float]:
    """Return the images a second of the second epoch, and the peak memory in MiB."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    second = next(line for line in lines if line.get("epoch") == 2)
    return images / second["seconds"], lines[-1]["peak_mib"]


def measure_case(case: Case, folder: Path, peers: str, pairs: int) -> None:
    """Print the table's rows of one case: each of our batches against each format of the peer."""
    tail = ["--images", str(case.images), "--epochs", "2"]
    start = [sys.executable, str(OURS), str(folder), *case.network]
    ours = {batch: [*start, "--batch", str(batch), *tail] for batch in case.batches}
    theirs = {
        policy: [peers, str(KERAS), str(folder), *case.network, "--policy", policy, *tail]
        for policy in POLICIES
    }
    if case.textbook:
        theirs = {"float32": [sys.executable, str(TEXTBOOK), str(folder), *tail]}
    mine: dict[int, list[tuple[float, float]]] = {batch: [] for batch in ours}
    other: dict[str, list[tuple[float, float]]] = {policy: [] for policy in theirs}
    for _ in range(pairs):
        for batch, command in ours.items():
            mine[batch].append(run_once(command, case.images))
        for policy, command in theirs.items():
            other[policy].append(run_once(command, case.images))
    for batch, policy in product(ours, theirs):
        pair = list(zip(mine[batch], other[policy], strict=True))
        ratios = [first[0] / second[0] for first, second in pair]
        speeds = [f"{median(own[side][0] for own in pair):,.0f}" for side in (0, 1)]
        peaks = [f"{max(own[side][1] for own in pair):,.0f}" for side in (0, 1)]
        print(
            f"| {case.name} | {batch} | {policy} | {speeds[0]} | {speeds[1]} | "
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {peaks[0]} | "
            f"{peaks[1]} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", default=".peers/bin/python")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", help="part of a case's name")
    args = parser.parse_args()
    print("| network | our batch | peer in | ours, images/s | theirs | ratio | our MiB | theirs |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if not args.only or args.only in case.name:
            measure_case(case, args.folder, args.peers, args.pairs)


if __name__ == "__main__":
    main()
