"""How fast photographs are classified, beside a plain timm and torch script of the same model.

    python benchmarks/predict.py runs/trashnet-transfer-1 PHOTOS --images 5000 --repeats 3

The photographs are read as often as it takes. Each part runs in a process of its own, in turn: the
whole of `Predictor`, and two plain scripts: a loop, and a DataLoader with two workers. With
``--memory`` the peak of 1,000, 5,000 and 20,000 photographs is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


def list_photos(folder: Path, count: int) -> list[Path]:
    """Return so many paths of photographs, some several times."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return list(islice(cycle(found), count))


def run_predictor(run: Path, photos: list[Path]) -> np.ndarray[Any, Any]:
    """Classify with tellapart, its start included."""
    from tellapart import load_predictor

    answers = load_predictor(run)(photos)
    return answers.probabilities


def run_plain(run: Path, photos: list[Path], workers: int) -> np.ndarray[Any, Any]:
    """Classify as a script of the model's own libraries does: Pillow, torch, timm."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from tellapart.predict.folder import read_args
    from tellapart.predict.network import load_network

    args = read_args(run / "model")
    network = load_network(run / "model", args)  # timm's network and its head, in eager mode
    side = args.preprocessing.image_size

    class Photos(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(photos)

        def __getitem__(self, place: int) -> torch.Tensor:
            with Image.open(photos[place]) as image:
                small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(small))

    batches: Iterator[torch.Tensor] = iter(DataLoader(Photos(), 32, num_workers=workers))
    with torch.inference_mode():
        return np.concatenate([network(batch)[0].numpy() for batch in batches])


def measure(kind: str, run: Path, photos: list[Path]) -> dict[str, float]:
    """Run one kind here, and return what it took."""
    start = time.perf_counter()
    if kind == "tellapart":
        found = run_predictor(run, photos)
    else:
        found = run_plain(run, photos, {"loop": 0, "workers": 2}[kind])
    seconds = time.perf_counter() - start
    top = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(f"/tmp/predict-{kind}.npy", found)
    return {"seconds": seconds, "per_second": len(photos) / seconds, "peak_mb": top}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--kind", default="")
    given = parser.parse_args()
    if given.kind:
        print(json.dumps(measure(given.kind, given.run, list_photos(given.photos, given.images))))
        return

    def start(kind: str, images: int) -> dict[str, float]:
        command = [sys.executable, __file__, str(given.run), str(given.photos)]
        command += ["--images", str(images), "--kind", kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        print(f"{kind:<10} {images:>6} images  {found['per_second']:6.0f} a second  "
              f"{found['seconds']:6.1f} s  {found['peak_mb']:6.0f} MB", flush=True)  # fmt: skip
        return found

    if given.memory:
        for images in (1000, 5000, 20_000):
            start("tellapart", images)
        return
    rates: dict[str, list[float]] = {"tellapart": [], "loop": [], "workers": []}
    for _ in range(given.repeats):
        for kind, own in rates.items():
            own.append(start(kind, given.images)["per_second"])
    for kind in ("loop", "workers"):
        ratios = [a / b for a, b in zip(rates["tellapart"], rates[kind], strict=True)]
        print(f"over {kind}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    ours, plain = np.load("/tmp/predict-tellapart.npy"), np.load("/tmp/predict-loop.npy")
    same = (ours.argmax(1) == plain.argmax(1)).mean()
    most = np.abs(ours - plain).max()
    print(f"same class: {100 * same:.2f} %; probabilities differ by {most:.4f} at most (the plain "
          "script decodes JPEGs whole)")  # fmt: skip


if __name__ == "__main__":
    main()
