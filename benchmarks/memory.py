"""What computing features takes, beside what `tellapart.transfer.resources` reckons.

    python benchmarks/memory.py BACKBONE ...

For each backbone, at several resolutions and loads, a process of its own makes the engine and
computes the features of random images; what it took is the highest resident memory less that of the
backbone ready to run. Prints a Markdown table: both in MiB, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np

from tellapart.device import Meter, count_cores, measure_tree_memory, prepare_process
from tellapart.models.backbone import make_backbone, resize_backbone
from tellapart.transfer.engines import make_engine
from tellapart.transfer.resources import COPIES, ENGINE_BYTES, LIVE, Load, measure_widest

LOADS = (Load(8), Load(2), Load(1, 1))
SIZES = (96, 224, 448)


def measure(name: str, size: int, load: Load) -> dict[str, float]:
    """Return the bytes that were reckoned and taken, in this process."""
    prepare_process()
    backbone = resize_backbone(make_backbone(name), size)
    widest = measure_widest(backbone)
    calls = count_cores() if load.streams is None else load.streams
    reckoned = ENGINE_BYTES + COPIES * 4 * backbone.parameters + calls * load.batch * LIVE * widest
    pixels = np.random.default_rng(0).integers(0, 256, (load.batch, size, size, 3), np.uint8)
    before = measure_tree_memory()
    with Meter(interval=0.02) as meter:
        engine = make_engine(backbone, pixels[:1], "cpu", load)
        engine.compute(iter([pixels] * 40))
    return {"reckoned": reckoned, "taken": meter.peak_memory_mb * 1e6 - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbones", nargs="+")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        size, batch, streams = args.one
        print(json.dumps(measure(args.backbones[0], size, Load(batch, streams or None))))
        return
    print("| backbone | px | batch | calls | reckoned MiB | taken MiB | reckoned over taken |")
    print("|---|---|---|---|---|---|---|")
    for name in args.backbones:
        for size in SIZES:
            for load in LOADS:
                one = [str(number) for number in (size, load.batch, load.streams or 0)]
                done = subprocess.run(
                    [sys.executable, __file__, name, "--one", *one],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    sys.exit(done.stderr[-2000:])
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"| {name.rpartition('/')[2]} | {size} | {load.batch} | "
                    f"{load.streams or count_cores()} | {found['reckoned'] / 2**20:,.0f} | "
                    f"{found['taken'] / 2**20:,.0f} | {found['reckoned'] / found['taken']:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
