"""Pictures of images: a grid by class, pairs that are alike, and some with captions."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tellapart.data.dataset import Dataset, Indices
from tellapart.data.loading import MOST_SIZE
from tellapart.stop import check_stop
from tellapart.words import choose_font, shorten_name, shorten_names
from tellapart.workspace import write_bytes

SAMPLES = 8
"""Images of each class in the grid; half as many of more than 20 classes."""
MOST_CLASSES = 40
"""Classes in the grid: it stays below 4 MB, whatever the images."""
GAP, NAME_WIDTH, NAME_INK = 4, 150, "#76828f"
PAIRS_WIDE, WIDE, CAPTION = 4, 6, 44


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


def draw_pairs(dataset: Dataset, pairs: Sequence[tuple[int, int]], path: Path) -> Path:
    """Write a PNG of pairs of images side by side, four pairs a line."""
    side, lines = 88, -(-len(pairs) // PAIRS_WIDE)
    wide, high = 2 * side + 5 * GAP, side + 4 * GAP
    sheet = Image.new(
        "RGBA", (min(len(pairs), PAIRS_WIDE) * wide - 4 * GAP, lines * high - 4 * GAP)
    )
    for place, pair in enumerate(pairs):
        line, column = divmod(place, PAIRS_WIDE)
        for number, tile in enumerate(_read_tiles(dataset, np.array(pair, np.int64), side)):
            sheet.paste(tile, (column * wide + number * (side + GAP), line * high))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return write_bytes(path, stream.getvalue())


def draw_captioned(
    dataset: Dataset, rows: Sequence[int], captions: Sequence[str], path: Path
) -> Path:
    """Write a PNG of images, each with a caption of one or two lines below, six a line."""
    side, step, high = 112, 112 + 4 * GAP, 112 + CAPTION
    lines = -(-len(rows) // WIDE)
    sheet = Image.new("RGBA", (min(len(rows), WIDE) * step - 4 * GAP, lines * high))
    draw = ImageDraw.Draw(sheet)
    tiles = _read_tiles(dataset, np.array(rows, np.int64), side)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        line, column = divmod(place, WIDE)
        sheet.paste(tile, (column * step, line * high))
        for number, text in enumerate(caption.splitlines()):
            name = _Name(text)
            while name.width > side and len(text) > 4:
                text = shorten_name(text, len(text) - 1)
                name = _Name(text)
            at = (column * step, line * high + side + GAP + 15 * number)
            draw.text(at, name.text, NAME_INK, name.font)
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
