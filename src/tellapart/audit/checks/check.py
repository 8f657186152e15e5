"""What a check is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tellapart.audit.samples import draw_captioned, draw_pairs
from tellapart.data.copies import read_thumbs
from tellapart.data.dataset import Dataset, Pixels
from tellapart.data.split import Split
from tellapart.records import Finding

GRAVE = 0.01
"""The share of images from which on a fault of some is grave."""
SHOWN = 24
"""Pairs of images that are drawn, and names that are listed, at most."""


@dataclass(frozen=True)
class Looked:
    """A dataset and its split; pictures go to ``folder``, if there is one."""

    dataset: Dataset
    split: Split
    folder: Path | None = None

    def name_rows(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the names of images, in order."""
        return tuple(self.dataset.name_row(row) for row in sorted(rows))

    def name_pairs(self, pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return the names of pairs of images, with their classes where these differ."""
        return tuple(f"{self._describe(a)} and {self._describe(b)}" for a, b in pairs[:SHOWN])

    def _describe(self, row: int) -> str:
        return f"{self.dataset.name_row(row)} ({self.dataset.classes[self.dataset.labels[row]]})"

    def draw(self, pairs: Sequence[tuple[int, int]], name: str) -> str:
        """Draw pairs of images and return where, below the folder of results."""
        if self.folder is None or not pairs:
            return ""
        draw_pairs(self.dataset, pairs[:SHOWN], self.folder / f"{name}.png")
        return f"{self.folder.name}/{name}.png"

    def show(self, captioned: Sequence[tuple[int, str]], name: str) -> str:
        """Draw images, each with a caption, and return where, below the folder of results."""
        if self.folder is None or not captioned:
            return ""
        rows, captions = zip(*captioned[:SHOWN], strict=True)
        draw_captioned(self.dataset, rows, captions, self.folder / f"{name}.png")
        return f"{self.folder.name}/{name}.png"

    def show_classes(self, rows: Sequence[int], name: str) -> str:
        """Draw images, each with its class, and return where."""
        classes, labels = self.dataset.classes, self.dataset.labels
        return self.show([(row, classes[labels[row]]) for row in rows[:SHOWN]], name)

    @cached_property
    def thumbs(self) -> Pixels:
        """All images in 32 pixels, (n, 32, 32, channels) uint8."""
        return read_thumbs(self.dataset)

    @cached_property
    def repeated(self) -> list[list[int]]:
        """The rows of each picture that stands in the data more than once."""
        pictures = self.dataset.pictures
        order = np.argsort(pictures, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(pictures[order])) + 1)
        return sorted(part.tolist() for part in parts if len(part) > 1)


Check = Callable[[Looked], Finding | None]
