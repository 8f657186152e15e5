"""Copies planted in CIFAR-10: how many are found, and what is found besides.

    python benchmarks/copies.py DATA [--each 100] [--pairs found.png] [--backbone W]

Prints the share that is found of each kind, the seconds, and how many pairs of the data's own are
found; ``--pairs`` draws those that are alike the least, to be looked at. ``--backbone`` does the
same by features of one, at 160 px: a copy counts as found where its original is nearer to it than
the limit that calls as many of the data's own images copies.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.audit.neighbours import reduce_features
from tellapart.audit.samples import draw_pairs
from tellapart.data.cifar import CIFAR10, read_cifar
from tellapart.data.copies import find_copies
from tellapart.data.dataset import ArraySource, Dataset, hash_pixels
from tellapart.models.backbone import make_backbone, resize_backbone
from tellapart.transfer.features import extract_features

Pixels = NDArray[np.uint8]


def encode_jpeg(image: Pixels) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


def resize(image: Pixels, side: int) -> Pixels:
    other = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(other.resize((32, 32), Image.Resampling.BILINEAR))


KINDS: dict[str, Callable[[Pixels], Pixels]] = {
    "PNG of a JPEG of quality 75": encode_jpeg,
    "resized to 24 px and back": lambda image: resize(image, 24),
    "resized to 64 px and back": lambda image: resize(image, 64),
    "mirrored": lambda image: image[:, ::-1],
    "shifted by a pixel": lambda image: np.concatenate([image[:, :1], image[:, :-1]], 1),
    "brighter by 10 %": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--backbone")
    args = parser.parse_args()
    whole = read_cifar(args.data, CIFAR10)
    assert whole is not None, "no copy of CIFAR-10 is there"
    pixels, count = whole.source.read(np.arange(len(whole))), len(whole)
    chosen = np.random.default_rng(0).choice(count, args.each * len(KINDS), replace=False)
    parts = chosen.reshape(len(KINDS), args.each)
    planted = [
        make(pixels[row]) for make, rows in zip(KINDS.values(), parts, strict=True) for row in rows
    ]
    every = np.concatenate([pixels, np.stack(planted)])
    dataset = replace(
        whole,
        labels=np.concatenate([whole.labels, whole.labels[parts.ravel()]]),
        source=ArraySource(every),
        hashes=hash_pixels(every),
        roles=("",) * len(every),
    )
    start = time.perf_counter()
    found = {one[:2]: one for one in find_copies(dataset)}
    print(f"{time.perf_counter() - start:.1f} s, {len(every):,} images")
    for number, (name, rows) in enumerate(zip(KINDS, parts, strict=True)):
        first = count + number * args.each
        hits = sum((int(row), first + place) in found for place, row in enumerate(rows))
        print(f"{name}: {hits} of {args.each}")
    own = sorted((one for one in found.values() if one.second < count), key=lambda one: one.alike)
    tests = [
        one
        for one in own
        if (whole.roles[one.first] == "test") != (whole.roles[one.second] == "test")
    ]
    print(f"pairs of the data's own: {len(own)}, of train and test {len(tests)}")
    if args.pairs:
        draw_pairs(dataset, [one[:2] for one in own[:100]], args.pairs)
    if args.backbone:
        compare_features(dataset, parts, args.backbone, len({one.second for one in own}))


def compare_features(dataset: Dataset, parts: NDArray[np.int64], name: str, called: int) -> None:
    """Print what features find of each kind, where ``called`` of the data's own are found."""
    backbone = resize_backbone(make_backbone(name), 160)
    vectors = extract_features(dataset, backbone).vectors
    points = reduce_features(vectors.__getitem__, len(dataset))
    count = len(dataset) - parts.size
    order = np.arange(count)
    near = [
        (points[some] @ points[:count].T - 2 * (some[:, None] == order)).max(1)
        for some in np.array_split(order, 64)
    ]
    limit = np.sort(np.concatenate(near))[-2 * called]  # each of a pair is near the other
    print(f"by features of {backbone.name}: nearer than {1 - limit:.3f}")
    for number, (kind, rows) in enumerate(zip(KINDS, parts, strict=True)):
        first = count + number * len(rows)
        alike = (points[rows] * points[first : first + len(rows)]).sum(1)
        print(f"{kind}: {(alike >= limit).sum()} of {len(rows)}")


if __name__ == "__main__":
    main()
