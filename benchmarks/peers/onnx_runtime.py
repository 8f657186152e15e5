"""Features of a backbone by ONNX Runtime: images a second.

    .peers/bin/python benchmarks/peers/onnx_runtime.py MODEL.onnx IMAGES.npy --batch 8

MODEL takes (n, h, w, 3) uint8, as `benchmarks/extraction.py` exports it; IMAGES are such. All
graph optimisations, as many threads as cores. The first batch is not counted. Prints one JSON line.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import onnxruntime


def read_peak() -> float:
    """Return the most MiB that this process had; ``getrusage`` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(
        str(args.model), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    images = np.load(args.images)
    session.run(None, {name: images[: args.batch]})
    found = []
    start = time.perf_counter()
    for first in range(0, len(images) - args.batch + 1, args.batch):
        found.append(session.run(None, {name: images[first : first + args.batch]})[0])
    seconds = time.perf_counter() - start
    done = sum(len(part) for part in found)
    print(
        json.dumps(
            {
                "images_a_second": done / seconds,
                "peak_mib": read_peak(),
                "mean": float(np.concatenate(found).mean()),
            }
        )
    )


if __name__ == "__main__":
    main()
