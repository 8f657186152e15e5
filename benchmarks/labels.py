"""Labels flipped in CIFAR-10: how many are among the first suspects; what the bound makes of them.

    python benchmarks/labels.py DATA BACKBONE --image-size 160 [--picture suspects.png]

Prints the share of flipped labels among the first suspects for 2 % flipped, the bound on accuracy
for 0, 2, 10 and 30 %, and what each part takes. ``--picture`` draws the first 20 suspects among the
test images, without flips. Features come from the cache, where they are there.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tellapart.audit.labels import list_suspects
from tellapart.audit.neighbours import (
    NEIGHBOURS,
    bound_accuracy,
    find_neighbours,
    reduce_features,
)
from tellapart.audit.samples import draw_captioned
from tellapart.data import load_images
from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split
from tellapart.models.backbone import make_backbone, resize_backbone
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples
from tellapart.transfer.logistic import PENALTIES, cut_folds, predict_folds

FOLDS = 5
FIRST = (100, 500, 1000)


def flip(dataset: Dataset, share: float) -> tuple[Dataset, set[int]]:
    """Return a dataset of which a share of labels are others, and which."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(dataset), round(share * len(dataset)), replace=False)
    labels = dataset.labels.copy()
    classes = len(dataset.classes)
    labels[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return replace(dataset, labels=labels), set(rows.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("backbone")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    dataset = load_images("cifar10", data_dir=args.data)
    backbone = resize_backbone(make_backbone(args.backbone), args.image_size)
    vectors = extract_features(dataset, backbone).vectors
    rows = np.arange(len(dataset))
    start = time.perf_counter()
    near, _ = find_neighbours(
        reduce_features(vectors.__getitem__, len(rows)), dataset.groups, NEIGHBOURS
    )
    print(f"neighbours: {time.perf_counter() - start:.0f} s")
    for share in (0.0, 0.02):
        made, flipped = flip(dataset, share)
        start = time.perf_counter()
        folds = cut_folds(made, rows, FOLDS, 0)
        heads = predict_folds(Examples(vectors, made.labels), folds, PENALTIES, lambda: None)
        print(f"{FOLDS} folds: {time.perf_counter() - start:.0f} s")
        suspects = list_suspects(made.labels, heads).tolist()
        hits = [sum(row in flipped for row in suspects[:first]) for first in FIRST]
        shares = ", ".join(
            f"{100 * one / first:.1f} % of the first {first:,}"
            for one, first in zip(hits, FIRST, strict=True)
        )
        print(f"{100 * share:.0f} % flipped: {len(suspects):,} suspects, flipped are {shares}")
        if not share and args.picture is not None:
            tested = set(make_split(made).test.tolist())
            first = [row for row in suspects if row in tested][:20]
            said = [
                f"{made.classes[made.labels[row]]}?\n{made.classes[heads[row].argmax()]}"
                for row in first
            ]
            print(f"{draw_captioned(made, first, said, args.picture)}: rows {first}")
    for share in (0.0, 0.02, 0.1, 0.3):
        made, _ = flip(dataset, share)
        agree = made.labels[near[:, 0]] == made.labels
        bound = bound_accuracy(agree, made.groups, len(made.classes))
        print(
            f"{100 * share:.0f} % flipped: at most {100 * bound.value:.1f} % "
            f"({100 * bound.low:.1f} to {100 * bound.high:.1f}) right"
        )


if __name__ == "__main__":
    main()
