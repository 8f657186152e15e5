"""What keeping freed memory is worth: images/s of a training step, with and without it.

    python benchmarks/allocator.py

Each figure comes from a fresh process, the two settings in turn, five pairs; the ratio is the
median over pairs. Peak memory is that of the process.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

NETWORKS = {
    "simple 32/128": {"name": "simple", "width": 32, "dense": 128},
    "simple 256/128": {"name": "simple", "width": 256, "dense": 128},
    "simple 64/2048": {"name": "simple", "width": 64, "dense": 2048},
    "deep": {"name": "deep"},
}
PAIRS = 5
SECONDS = 3.0


def measure(network: str, keep: bool) -> dict[str, float]:
    """Train on noise for some seconds; return images/s and peak MB."""
    import torch
    from torch.nn import functional

    from tellapart.config import TrainSettings
    from tellapart.device import choose_precision, prepare_process
    from tellapart.models import Shape, make_model, read_network
    from tellapart.models.forward import cast_forward
    from tellapart.train.optim import make_optimizer

    if keep:
        prepare_process()
    device = torch.device("cpu")
    model = make_model(read_network(NETWORKS[network]), Shape(3, 32, 10))
    model = model.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, TrainSettings())
    images = torch.rand(128, 3, 32, 32).to(memory_format=torch.channels_last)
    truth = torch.randint(0, 10, (128,))
    precision = choose_precision(device)
    shown, start = 0, 0.0
    while not shown or time.perf_counter() - start < SECONDS:
        with cast_forward(device, precision):
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()
        if not start:  # the first step is warm-up
            start = time.perf_counter()
        else:
            shown += len(truth)
    rate = shown / (time.perf_counter() - start)
    return {"rate": rate, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], sys.argv[2] == "keep")))
        return
    for network in NETWORKS:
        found: dict[str, list[dict[str, float]]] = {"keep": [], "free": []}
        for _ in range(PAIRS):
            for way, results in found.items():
                done = subprocess.run(
                    [sys.executable, __file__, network, way], capture_output=True, check=True
                )
                results.append(json.loads(done.stdout))
        ratios = [
            kept["rate"] / freed["rate"]
            for kept, freed in zip(found["keep"], found["free"], strict=True)
        ]
        rates = {way: statistics.median(r["rate"] for r in rs) for way, rs in found.items()}
        peaks = {way: max(r["mb"] for r in rs) for way, rs in found.items()}
        print(
            f"{network:15} {rates['free']:7.0f} -> {rates['keep']:7.0f} images/s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"peak {peaks['free']:.0f} -> {peaks['keep']:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
