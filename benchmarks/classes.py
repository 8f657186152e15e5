"""Inspecting photographs of many classes: what the samples cost, and how large the report is.

    python benchmarks/classes.py PHOTOS --classes 102 --each 60

PHOTOS is a folder of images, of which links are made: so many in each class. Prints the seconds of
CPU in which the grid of samples is drawn, those of the whole inspection and its memory, and the MB
of ``report.html``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from tellapart.audit.samples import draw_samples
from tellapart.data import load_images
from tellapart.data.split import make_split
from tellapart.device import Meter
from tellapart.study.settings import StudySettings
from tellapart.study.study import run_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--classes", type=int, default=102)
    parser.add_argument("--each", type=int, default=60)
    args = parser.parse_args()
    sources = sorted(path for path in args.photos.rglob("*") if path.suffix == ".jpg")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "photos"
        for number in range(args.classes):
            folder = root / f"class {number}"
            folder.mkdir(parents=True)
            for one in rng.choice(len(sources), args.each, replace=False).tolist():
                path = folder / f"{one}.jpg"
                try:
                    os.link(sources[one], path)
                except OSError:  # on another disk
                    path.write_bytes(sources[one].read_bytes())
        with Meter() as meter:
            start = time.perf_counter()
            dataset = load_images(root)
            loaded = time.perf_counter() - start
            run_study(dataset, StudySettings(steps=("inspect",)), Path(place) / "study")
            whole = time.perf_counter() - start
        start = time.process_time()
        draw_samples(dataset, make_split(dataset).train, Path(place) / "samples.png")
        drawn = time.process_time() - start
        size = (Path(place) / "study" / "report.html").stat().st_size
        print(
            f"{len(dataset):,} images of {args.classes} classes: loaded in {loaded:.1f} s, "
            f"inspected in {whole:.1f} s, {meter.peak_memory_mb:,.0f} MB; the samples take "
            f"{drawn:.2f} s of CPU; report.html {size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
