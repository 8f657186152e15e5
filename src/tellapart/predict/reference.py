"""Some training images that a model keeps: their features, and small pictures of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.data.dataset import Pixels
from tellapart.errors import WorkspaceError
from tellapart.predict.folder import REFERENCE, read_file
from tellapart.records import PredictorArgs
from tellapart.workspace import write_bytes

Numbers = NDArray[np.float32]
MOST = 1000
"""Training images that are kept, at most."""
NEIGHBOURS = 5
"""The neighbour whose distance says how unlike an image is: with the first, one odd training image
would make all like it usual."""
CHECKED = 400
"""Val images that are kept to check exports by, at most."""
SIDE, QUALITY, LARGEST = 64, 85, 4096
"""The side of a small picture in pixels, the quality of JPEGs, and the side of the largest."""
FALSE_ALARMS = 0.01
"""The share of the val images that is flagged."""


@dataclass(frozen=True)
class Reference:
    """Unit vectors (m, width) of training images, the place of each one's class, and small JPEGs.

    And JPEGs of some val images at the model's own size, by which an export is ``checked``; and of
    all images that the model was trained on or chosen by, what `mark_hash` makes of their hashes.
    """

    vectors: Numbers
    labels: NDArray[np.int64]
    pictures: tuple[bytes, ...]
    checked_labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    checked: tuple[bytes, ...] = ()
    seen: frozenset[int] = frozenset()

    def find(self, features: Numbers, count: int) -> tuple[NDArray[np.int64], Numbers]:
        """Return the ``count`` nearest of each of (k, width) features, and how far they are.

        Distances are 1 less the cosine, from 0 to 2; the nearest first.
        """
        distances = 1 - scale_features(features) @ self.vectors.T
        count = min(count, distances.shape[1])
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return nearest, np.take_along_axis(distances, nearest, 1)

    def measure(self, features: Numbers) -> Numbers:
        """Return how unlike the training images each of (k, width) features is, (k,).

        The distance to the neighbour of that number (Sun et al. 2022, Out-of-distribution
        Detection with Deep Nearest Neighbors, ICML).
        """
        far: Numbers = self.find(features, NEIGHBOURS)[1][:, -1]
        return far


def mark_hash(digest: str) -> int:
    """Return a short number for a hexadecimal hash of an image."""
    return int(digest[:16], 16)


def scale_features(features: Numbers) -> Numbers:
    """Return (k, width) features as unit vectors."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Numbers = features / np.maximum(norms, 1e-12)
    return scaled.astype(np.float32)


def shrink_pictures(pixels: Pixels, side: int) -> tuple[bytes, ...]:
    """Return JPEGs of (k, height, width, 1 or 3) uint8, at most ``side`` pixels wide."""
    found = []
    for image in pixels:
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        if picture.width > side:
            picture = picture.resize((side, side), Image.Resampling.BILINEAR)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
        found.append(stream.getvalue())
    return tuple(found)


def write_reference(folder: Path, reference: Reference) -> str:
    """Write ``reference.safetensors``; return its SHA-256."""
    from safetensors.numpy import save

    content = save(
        {
            "vectors": reference.vectors.astype(np.float16),
            "labels": reference.labels,
            "checked labels": reference.checked_labels,
            "seen": np.array(sorted(reference.seen), np.uint64),
            **_pack("pictures", reference.pictures),
            **_pack("checked", reference.checked),
        }
    )
    write_bytes(folder / REFERENCE, content)
    return hashlib.sha256(content).hexdigest()


def _pack(name: str, pictures: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    ends = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
    return {name: np.frombuffer(b"".join(pictures), np.uint8), f"{name} end": ends}


def _unpack(name: str, parts: Mapping[str, NDArray[Any]]) -> tuple[bytes, ...]:
    """Return the pictures of a name; a ValueError where one is no JPEG, or too large."""
    whole, ends = parts[name].tobytes(), [0, *parts[f"{name} end"].tolist()]
    if ends != sorted(ends) or ends[-1] != len(whole):
        raise ValueError("its pictures do not end where they should")
    found = tuple(whole[first:last] for first, last in pairwise(ends))
    for picture in found:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            if max(image.size) > LARGEST:
                raise ValueError("a picture is too large")
    return found


def read_reference(folder: Path, args: PredictorArgs, width: int | None = None) -> Reference | None:
    """Read ``reference.safetensors``; None where it was taken away, as it may be.

    ``width`` is that of the model's features.

    Raises:
        WorkspaceError: it was altered, or is not this model's.
    """
    if not (folder / REFERENCE).exists():
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        parts = load(read_file(folder, REFERENCE, args))
        found = Reference(
            parts["vectors"].astype(np.float32),
            parts["labels"].astype(np.int64),
            _unpack("pictures", parts),
            parts["checked labels"].astype(np.int64),
            _unpack("checked", parts),
            frozenset(parts["seen"].tolist()),
        )
        sizes = {len(found.labels), len(found.vectors), len(found.pictures)}
        labels = np.concatenate([found.labels, found.checked_labels])
        fits = found.vectors.ndim == 2 and width in (None, found.vectors.shape[1])
        fits = fits and len(sizes) == 1 and len(found.checked) == len(found.checked_labels)
        fits = fits and len(found.labels) > 0 and bool(np.isfinite(found.vectors).all())
        if not fits or labels.min() < 0 or labels.max() >= len(args.classes):
            raise ValueError("its parts are not of one size, or not of this model")
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise WorkspaceError(
            f"{folder / REFERENCE} is not this model's ({error}); remove it, and no image is "
            "flagged as unlike those of training"
        ) from error
    return found
