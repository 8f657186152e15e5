"""What the report knows of a step, and the pictures that the page carries inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tellapart.records import StepRecord
from tellapart.report import canvas


@dataclass(frozen=True)
class Section:
    """A step as the report shows it. The functions take the step's own kind of record.

    ``answer(record, classes)`` says the answer in words.
    ``plots`` are figures of the whole step, by the names of their files; the page has them too, and
    ``pictures(record, classes, folder)`` besides: their addresses, with the study's folder.
    ``template``, a file here or elsewhere, is the HTML below the answer, with what pictures show in
    words; without one all are shown.
    """

    title: str
    question: str
    answer: Callable[[Any, Sequence[str]], str]
    plots: Mapping[str, Callable[[Any], canvas.Figure]] = field(default_factory=dict)
    pictures: Callable[[Any, Sequence[str], Path], dict[str, str]] = lambda *_: {}
    template: str | Path | None = None

    def embed(self, record: StepRecord, classes: Sequence[str], folder: Path) -> dict[str, str]:
        """Return the address of each picture of the page, by name."""
        found = {
            name: canvas.embed_figure(partial(plot, record), folder, f"{record.step}/{name}")
            for name, plot in self.plots.items()
        }
        return found | self.pictures(record, classes, folder)

    def draw(self, record: StepRecord, folder: Path) -> None:
        """Write each plot as PNG and SVG into the step's folder."""
        for name, plot in self.plots.items():
            canvas.save_figure(plot(record), folder / name)
