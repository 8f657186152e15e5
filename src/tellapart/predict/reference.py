"""Some training images that a model keeps: their features, and small pictures of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
SIDE, QUALITY = 64, 80
"""Of a small picture: its side in pixels, and its quality as a JPEG."""
FALSE_ALARMS = 0.01
"""The share of the val images that is flagged."""


@dataclass(frozen=True)
class Reference:
    """Unit vectors (m, width) of training images, the place of each one's class, and JPEGs."""

    vectors: Numbers
    labels: NDArray[np.int64]
    pictures: tuple[bytes, ...]

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


def scale_features(features: Numbers) -> Numbers:
    """Return (k, width) features as unit vectors."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Numbers = features / np.maximum(norms, 1e-12)
    return scaled.astype(np.float32)


def shrink_pictures(pixels: Pixels) -> tuple[bytes, ...]:
    """Return small JPEGs of (k, height, width, 1 or 3) uint8."""
    found = []
    for image in pixels:
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        if picture.width > SIDE:
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
        found.append(stream.getvalue())
    return tuple(found)


def write_reference(folder: Path, reference: Reference) -> str:
    """Write ``reference.safetensors``; return its SHA-256."""
    import hashlib

    from safetensors.numpy import save

    ends = np.cumsum([len(picture) for picture in reference.pictures], dtype=np.int64)
    content = save(
        {
            "vectors": reference.vectors.astype(np.float16),
            "labels": reference.labels,
            "pictures": np.frombuffer(b"".join(reference.pictures), np.uint8),
            "ends": ends,
        }
    )
    write_bytes(folder / REFERENCE, content)
    return hashlib.sha256(content).hexdigest()


def read_reference(folder: Path, args: PredictorArgs) -> Reference | None:
    """Read ``reference.safetensors``; None where it was taken away, as it may be.

    Raises:
        WorkspaceError: it was altered, or is not this model's.
    """
    if not (folder / REFERENCE).exists():
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        parts = load(read_file(folder, REFERENCE, args))
        vectors, labels = parts["vectors"].astype(np.float32), parts["labels"]
        ends = parts["ends"].tolist()
        whole = parts["pictures"].tobytes()
        fits = vectors.ndim == 2 and labels.shape == (len(vectors),) == (len(ends),)
        fits = fits and len(vectors) > 0 and bool(np.isfinite(vectors).all())
        fits = fits and labels.min() >= 0 and labels.max() < len(args.classes)
        if not fits:
            raise ValueError("its parts are not of one size")
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WorkspaceError(
            f"{folder / REFERENCE} is not this model's ({error}); remove it, and no image is "
            "flagged as unlike those of training"
        ) from error
    return Reference(vectors, labels.astype(np.int64), cut_pictures(whole, ends))


def cut_pictures(whole: bytes, ends: Sequence[int]) -> tuple[bytes, ...]:
    """Return the parts of ``whole`` that end at ``ends``."""
    return tuple(whole[first:last] for first, last in zip([0, *ends], ends, strict=False))
