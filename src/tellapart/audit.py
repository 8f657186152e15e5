"""Step 1: look at the data before training on them."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tellapart.data.dataset import Dataset, Indices
from tellapart.data.folder import MOST_SIZE
from tellapart.data.split import Split, count_leaks
from tellapart.records import ROLES, DataRecord, InspectStep
from tellapart.stop import check_stop
from tellapart.words import choose_font, shorten_name, shorten_names
from tellapart.workspace import expand_path, write_bytes

SAMPLES = 8
"""Images of each class in the grid; half as many of more than 20 classes."""
MOST_CLASSES = 40
"""Classes in the grid: it stays below 4 MB, whatever the images."""
GAP, NAME_WIDTH, NAME_INK = 4, 150, "#76828f"

MATTERS = 1.5
"""Ratio of the largest to the smallest class from which balance is worth a word."""


def describe_data(dataset: Dataset, split: Split) -> DataRecord:
    """Return what a dataset is, with counts per class of each part of the split."""
    return DataRecord(
        name=dataset.name,
        origin=dataset.origin,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        counts={
            role: _count_classes(dataset, rows)
            for role, rows in zip(ROLES, (split.train, split.val, split.test), strict=True)
        },
        image_size=dataset.image_size,
        channels=dataset.channels,
        size_reason=dataset.size_reason,
        streamed=dataset.source.streamed,
        sizes=dataset.sizes,
        modes=dataset.modes,
        notes=(*dataset.notes, *split.notes),
        excluded=dataset.excluded,
    )


def _count_classes(dataset: Dataset, rows: Indices | slice) -> dict[str, int]:
    counts = np.bincount(dataset.labels[rows], minlength=len(dataset.classes)).tolist()
    return dict(zip(dataset.classes, counts, strict=True))


def audit_images(dataset: Dataset, split: Split, folder: str | Path) -> InspectStep:
    """Check a dataset and draw samples of each class into ``folder/samples.png``.

    ``seconds`` and ``peak_memory_mb`` are left at 0 for the caller, who measures.
    """
    folder = expand_path(folder)
    totals = _count_classes(dataset, slice(None))
    most, least = max(totals.values()), min(totals.values())
    draw_samples(dataset, split.train, folder / "samples.png")
    return InspectStep(
        data=describe_data(dataset, split),
        balance=describe_balance(totals),
        imbalance_ratio=most / max(1, least),
        majority_share=most / len(dataset),
        duplicates=len(dataset) - len(set(dataset.hashes)),
        leaked=count_leaks(dataset, split),
        samples=f"{folder.name}/samples.png",
        sampled=min(len(dataset.classes), MOST_CLASSES),
    )


def describe_balance(totals: dict[str, int]) -> str:
    """Say in a sentence whether the balance of classes matters.

    >>> describe_balance({"a": 50, "b": 50})
    'Every class has 50 images: balance is no issue, and plain accuracy is a fair measure.'
    """
    large, small = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
    most, least = totals[large], totals[small]
    if most == least:
        return (
            f"Every class has {most:,} images: balance is no issue, and plain accuracy is a fair "
            "measure."
        )
    ratio = most / max(1, least)
    sizes = (
        f"The largest class ({large}, {most:,}) has {ratio:.1f} times the images of the smallest "
        f"({small}, {least:,})"
    )
    if ratio < MATTERS:
        return f"{sizes}: close enough to balanced that it is no issue."
    return (
        f"{sizes}: balance matters. Always answering {large} would be right "
        f"{100 * most / sum(totals.values()):.1f} % of the time, so read accuracy against that, "
        f"and look at the recall of {small}; "
        "tellapart train --class-weights balanced gives every class the same weight."
    )


def draw_samples(dataset: Dataset, rows: Indices, path: Path) -> Path:
    """Write a PNG with evenly spaced samples of each class, out of ``rows``.

    Of more than ``MOST_CLASSES``, so many evenly spaced ones are shown. The ground is transparent,
    and the names have a grey that reads on light and dark paper.
    """
    shown = spread_evenly(len(dataset.classes), MOST_CLASSES)
    names = [_Name(name) for name in shorten_names([dataset.classes[i] for i in shown], 60)]
    room = 20 + min(NAME_WIDTH, max(name.width for name in names))
    side = 88 if len(shown) <= 10 else 64
    columns = SAMPLES if len(shown) <= 20 else SAMPLES // 2  # two classes a line
    blocks = SAMPLES // columns
    lines = -(-len(shown) // blocks)
    step, wide = side + GAP, room + columns * (side + GAP)
    sheet = Image.new("RGBA", (blocks * wide, lines * step))
    draw = ImageDraw.Draw(sheet)
    for place, (index, name) in enumerate(zip(shown, names, strict=True)):
        check_stop()
        block, line = divmod(place, lines)
        left, top = block * wide + room, line * step
        right = (left - 10, top + side // 2)
        draw.multiline_text(right, name.wrap(), NAME_INK, name.font, "rm", align="right")
        own = rows[dataset.labels[rows] == index]
        picked = own[spread_evenly(len(own), columns)]
        for column, tile in enumerate(_read_tiles(dataset, picked, side)):
            sheet.paste(tile, (left + column * step, top))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return write_bytes(path, stream.getvalue())


def spread_evenly(count: int, most: int) -> Indices:
    """Return up to ``most`` of the numbers below ``count``, evenly spaced.

    >>> spread_evenly(9, 3).tolist(), spread_evenly(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _read_tiles(dataset: Dataset, rows: Indices, side: int) -> Iterator[Image.Image]:
    """Return images at a size to look at; the pixels of small ones are enlarged, not blurred."""
    larger = dataset.image_size >= MOST_SIZE  # the files may hold more than networks see
    for pixels in dataset.source.read(rows, side if larger else None):
        tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
        times = -(-side // tile.width)
        whole = tile.resize((times * tile.width, times * tile.height), Image.Resampling.NEAREST)
        yield whole.resize((side, side), Image.Resampling.BOX)


class _Name:
    """A class name as it is drawn: its characters, the font that has them, its width in pixels."""

    def __init__(self, name: str) -> None:
        file, self.text = choose_font(name)
        self.font = ImageFont.truetype(file, 13)
        self.width = int(self.font.getlength(self.text)) + 1

    def wrap(self) -> str:
        """Return it in up to three lines, cut in its middle where they do not suffice."""
        length = max(4, NAME_WIDTH * len(self.text) // self.width)
        lines = textwrap.wrap(self.text, length)
        if len(lines) > 3:
            lines = textwrap.wrap(shorten_name(self.text, 3 * length - 6), length)
        return "\n".join(lines[:3])
