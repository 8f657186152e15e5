"""Is an exported model the one that it was made of? Both classify the same pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Pixels
from tellapart.data.decode import decode_image
from tellapart.errors import TellapartError
from tellapart.predict.engines import Numbers
from tellapart.predict.reference import read_reference
from tellapart.records import PredictorArgs

CHECKED, BATCH = 64, 16
"""Pictures that an export is checked on at most, and how many at once."""
ALIKE = 1e-3
"""How far its probabilities may be from those of the network."""


def read_pictures(
    folder: Path, args: PredictorArgs, most: int | None
) -> tuple[Pixels, NDArray[np.int64]]:
    """Return val images that a model keeps, (n, size, size, channels), and their classes (n,).

    They are up to ``most``, from first to last, for their order may be that of the classes. Their
    values were scaled when they were taken. Without any: random images, and no classes.
    """
    size, channels = args.preprocessing.image_size, args.preprocessing.channels
    reference = read_reference(folder, args)
    if reference is None or not reference.checked:
        made = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, channels), np.uint8)
        return made, np.empty(0, np.int64)
    every = slice(None, None, -(-len(reference.checked) // most) if most else 1)
    pixels = np.stack([decode_image(one, size, channels) for one in reference.checked[every]])
    return pixels, reference.checked_labels[every]


def split_pixels(pixels: Pixels) -> Iterator[Pixels]:
    """Give one image alone, then the others several at once."""
    yield pixels[:1]
    for first in range(1, len(pixels), BATCH):
        yield pixels[first : first + BATCH]


def check_answers(source: Numbers, found: Numbers) -> None:
    """Refuse (k, classes) probabilities that are not those of the network.

    Raises:
        TellapartError: they differ by more than ``ALIKE``, or a likeliest class is another.
    """
    gap = float(np.abs(source - found).max())
    others = int((source.argmax(1) != found.argmax(1)).sum())
    if others or not gap <= ALIKE:
        raise TellapartError(
            f"an export must give the classes of its model, and probabilities within {ALIKE:g}, "
            f"but {others} of {len(source)} pictures are of another class and probabilities differ "
            f"by up to {gap:.2g}; nothing was written: take another --format"
        )
