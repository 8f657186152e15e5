"""How often a promised error is kept, on images that chose nothing of the model.

    python benchmarks/guarantee.py runs/cifar10-transfer-1 cifar10 --data-dir DATA

The val and test images of a study are classified once by its model and divided anew, 200 times:
1,000 set the threshold, the others show the error among what is then answered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tellapart import load_images, load_predictor
from tellapart.data.split import read_split
from tellapart.metrics.selective import choose_surest, list_surest

SPLITS, OWN = 200, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    dataset = load_images(given.data, given.data_dir)
    split = read_split(given.run / "split.json", dataset)
    predictor = load_predictor(given.run)
    rows = np.concatenate([split.val, split.test])
    probabilities, _ = predictor.classify_rows(dataset, rows)
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == dataset.labels[rows]
    print(f"{len(rows):,} images, {100 * right.mean():.1f} % right")
    for error in (0.01, 0.02, 0.05, 0.1):
        kept, shares, errors = 0, [], []
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(rows))
            own, others = order[:OWN], order[OWN:]
            found = choose_surest(list_surest(confidence[own], right[own]), error)
            sure = confidence[others] >= (2.0 if found is None else found.threshold)
            wrong = float((~right[others][sure]).mean()) if sure.any() else 0.0
            kept += wrong <= error
            shares.append(float(sure.mean()))
            errors.append(wrong)
        print(f"error {error:g}: kept in {kept} of {SPLITS} splits, {100 * np.mean(shares):.0f} % "
              f"answered on average, {100 * np.mean(errors):.2f} % of these wrong")  # fmt: skip


if __name__ == "__main__":
    main()
