"""What the report knows of a step, and its pictures: carried inside the page, told in words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tellapart.records import StepRecord
from tellapart.report import canvas


@dataclass(frozen=True)
class Picture:
    """One image of the page: its data URI, what it shows in words, and its caption."""

    uri: str
    alt: str
    caption: str
    kind: str = "broad"


def embed(figure: canvas.Figure, alt: str, caption: str, kind: str = "broad") -> Picture:
    """Return a figure as a picture of the page, which follows the reader's dark or light."""
    content = base64.b64encode(canvas.render_svg(figure, adaptive=True)).decode()
    return Picture(f"data:image/svg+xml;base64,{content}", alt, caption, kind)


@dataclass(frozen=True)
class Section:
    """A step as the report shows it. The functions take the step's own kind of record.

    ``answer(record, done, classes)`` says the answer in words; ``done`` are the steps before it.
    ``pictures(record, classes, folder)`` are those of the page, with the study's folder; ``plots``
    are figures of the whole step, by the names of their files. ``template``, a file here or
    elsewhere, is the HTML below the answer; without one all pictures are shown.
    """

    title: str
    question: str
    answer: Callable[[Any, Mapping[str, StepRecord], Sequence[str]], str]
    pictures: Callable[[Any, Sequence[str], Path], dict[str, Picture]] = lambda *_: {}
    plots: Mapping[str, Callable[[Any], canvas.Figure]] = field(default_factory=dict)
    template: str | Path | None = None

    def draw(self, record: StepRecord, folder: Path) -> None:
        """Write each plot as PNG and SVG into the step's folder."""
        for name, plot in self.plots.items():
            canvas.save_figure(plot(record), folder / name)
