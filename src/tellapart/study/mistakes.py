"""What a model gets wrong on test: its surest mistakes, and the classes that it confuses."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.data.dataset import Dataset, Indices
from tellapart.predict.explain import Neighbour, list_neighbours, say_share
from tellapart.predict.heatmap import map_evidence
from tellapart.predict.pictures import Text, enlarge_image, open_picture, overlay_heat
from tellapart.records import Confusion, Mistake, Mistakes
from tellapart.stop import check_stop
from tellapart.study.handover import Handed, soften
from tellapart.workspace import write_bytes

SUREST, NEAREST = 24, 3
"""Mistakes that are shown, and training images beside each."""
MATRIX, PAIRS = 20, 30
"""Classes up to which every pair that is confused is shown, and the pairs shown of more."""
OF_PAIR, TILES = 8, 300
"""Images of a pair, and of all pairs: fewer of each where there are many pairs."""
TILE, WIDE, SIDE, NEAR, GAP, BETWEEN = 64, 4, 104, 48, 6, 18
"""Pixels of an image of a pair; mistakes a line; pixels of one, of a training image, of gaps."""
INK, LARGE, SMALL = "#76828f", 12, 11
"""A grey that reads on light and dark paper, and sizes of text."""

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class _Shown:
    """A mistake as it is drawn."""

    mistake: Mistake
    image: Image.Image
    overlay: Image.Image | None
    neighbours: tuple[Neighbour, ...]

    @property
    def captions(self) -> list[Text]:
        one = self.mistake
        said = (
            f"called {one.called}, {say_share(one.called_share)}",
            f"is {one.true}, {say_share(one.true_share)}",
        )
        return [Text(text, LARGE, 2 * SIDE + GAP) for text in said]


def show_mistakes(dataset: Dataset, handed: Handed, folder: Path) -> Mistakes:
    """Return what a model gets wrong on test; write ``mistakes.png`` and ``confused.png``.

    ``dataset`` is as the model sees it.

    Raises:
        Interrupted: a stop was asked for.
    """
    shares = soften(handed.logits, handed.args.temperature)
    truth, called = dataset.labels[handed.tested], shares.argmax(1)
    wrong = np.flatnonzero(called != truth)
    wrong = wrong[np.argsort(-shares[wrong].max(1), kind="stable")]  # surest first
    if not len(wrong):
        return Mistakes(count=0, of=len(truth))
    shown = _explain(dataset, handed, wrong[:SUREST], shares)
    write_bytes(folder / "mistakes.png", _save(_draw_shown(shown)))
    pairs: dict[tuple[int, int], list[int]] = {}
    for place in wrong.tolist():
        pairs.setdefault((int(truth[place]), int(called[place])), []).append(place)
    most = len(pairs) if len(dataset.classes) <= MATRIX else PAIRS
    listed = sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:most]
    tiles = share_tiles([len(places) for _, places in listed])
    rows = [handed.tested[places[:tiles]] for _, places in listed]
    write_bytes(folder / "confused.png", _save(_draw_pairs(dataset, rows, tiles)))
    return Mistakes(
        count=len(wrong),
        of=len(truth),
        surest=tuple(one.mistake for one in shown),
        mapped=shown[0].overlay is not None,
        confused=tuple(
            Confusion(
                true=dataset.classes[true],
                called=dataset.classes[other],
                count=len(places),
                of=int((truth == true).sum()),
                files=tuple(dataset.name_row(row) for row in own.tolist()),
            )
            for ((true, other), places), own in zip(listed, rows, strict=True)
        ),
    )


def share_tiles(counts: Sequence[int]) -> int:
    """Return how many images of each pair are shown, so that all of them are ``TILES`` at most.

    >>> share_tiles([40, 3, 1]), share_tiles([9] * 90)
    (8, 3)
    """
    fits = (
        most for most in range(OF_PAIR, 1, -1) if sum(min(one, most) for one in counts) <= TILES
    )
    return next(fits, 1)


def _explain(dataset: Dataset, handed: Handed, places: Indices, shares: Numbers) -> list[_Shown]:
    """Return mistakes with the evidence for what they were called, and what they resemble."""
    predictor, rows = handed.predictor, handed.tested[places]
    assert predictor.network is not None, "a model in a study has a network"
    pixels, names = dataset.source.read(rows), dataset.classes
    _, features = predictor.classify_rows(dataset, rows)
    called, truth = shares[places].argmax(1), dataset.labels[rows]
    heats = map_evidence(predictor.network, pixels, called)
    near = list_neighbours(predictor.reference, features, names, NEAREST)
    found = []
    for number, place in enumerate(places.tolist()):
        true, other = int(truth[number]), int(called[number])
        mistake = Mistake(
            file=dataset.name_row(int(rows[number])),
            true=names[true],
            called=names[other],
            true_share=float(shares[place, true]),
            called_share=float(shares[place, other]),
            nearest={
                dataset.name_row(int(handed.reference[one.place])): one.label
                for one in near[number]
            },
        )
        overlay = None if heats is None else overlay_heat(pixels[number], heats[number], SIDE)
        image = enlarge_image(pixels[number], SIDE)
        found.append(_Shown(mistake, image, overlay, near[number]))
    return found


def _draw_shown(shown: Sequence[_Shown]) -> Image.Image:
    """Return a sheet: each image, its evidence, captions, and the nearest training images."""
    step = 2 * SIDE + GAP + BETWEEN
    lines = [shown[first : first + WIDE] for first in range(0, len(shown), WIDE)]
    tall = [
        max(sum(text.height for text in one.captions) for one in line) + SIDE + 2 * GAP
        for line in lines
    ]
    below = NEAR + 2 * round(1.25 * SMALL) + BETWEEN
    wide = min(len(shown), WIDE) * step - BETWEEN
    sheet = Image.new("RGBA", (wide, sum(tall) + len(lines) * below - BETWEEN))
    top = 0
    for line, height in zip(lines, tall, strict=True):
        check_stop()
        for column, one in enumerate(line):
            left, y = column * step, top + SIDE + GAP
            sheet.paste(one.image, (left, top))
            if one.overlay is not None:
                sheet.paste(one.overlay, (left + SIDE + GAP, top))
            for text in one.captions:
                y = text.draw(sheet, (left, y), INK)
            slot = (2 * SIDE + GAP) // NEAREST
            for number, near in enumerate(one.neighbours):
                at = left + number * slot
                sheet.paste(open_picture(near.picture, NEAR), (at, top + height))
                Text(near.label, SMALL, slot - GAP).draw(sheet, (at, top + height + NEAR + 2), INK)
        top += height + below
    return sheet


def _draw_pairs(dataset: Dataset, rows: Sequence[Indices], tiles: int) -> Image.Image:
    """Return a sheet with a line a pair: up to ``tiles`` images, ``TILE`` pixels wide."""
    wide = max(len(own) for own in rows)
    sheet = Image.new("RGBA", (wide * TILE, len(rows) * TILE))
    larger = dataset.image_size > 2 * TILE  # decoding at a smaller size is faster
    for line, own in enumerate(rows):
        check_stop()
        for column, pixels in enumerate(dataset.source.read(own, TILE if larger else None)):
            sheet.paste(enlarge_image(pixels, TILE), (column * TILE, line * TILE))
    return sheet


def _save(sheet: Image.Image) -> bytes:
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()
