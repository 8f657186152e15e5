"""What shows a person how the work goes."""

from __future__ import annotations

import math
import time

from tellapart.records import EpochRow, StepRecord

OFTEN = 2.0
"""Seconds after which an epoch at work shows how far it has come."""


class Reporter:
    """Shows a person how the work goes; this one shows nothing."""

    def begin(self, step: str, units: float) -> None:
        """A step starts that will take so many units (epochs, or images)."""

    def advance(self, units: float, text: str) -> None:
        """Units are done; ``text`` says what."""

    def expect(self, units: float) -> None:
        """So many units are left, of another kind than those before: their pace is not known."""

    def skip(self, units: float, text: str) -> None:
        """Units need not be done: an earlier start did them, or nothing would come of them."""

    def say(self, text: str) -> None:
        """Something that a person should read."""

    def end(self, record: StepRecord, again: bool) -> None:
        """A step is finished, now or (``again``) by an earlier start."""


class TrainingWatch:
    """Shows each epoch of a training, and the batches of long ones; an epoch is a unit."""

    def __init__(self, reporter: Reporter, label: str) -> None:
        self._reporter, self._label = reporter, label
        self._done, self._last = 0.0, time.monotonic()

    def __call__(self, row: EpochRow) -> None:
        said = f"epoch {row.epoch}, val score {100 * row.val_score:.1f} %"
        self._reach(row.epoch, row.epoch - 1, said)

    def show_part(self, epochs: float) -> None:
        """Show how many epochs are done, the part of the one at work included."""
        if time.monotonic() - self._last >= OFTEN:
            whole = math.ceil(epochs) - 1
            self._reach(epochs, whole, f"epoch {whole + 1}, {100 * (epochs - whole):.0f} % of it")

    def _reach(self, epochs: float, before: int, said: str) -> None:
        if before > self._done:  # an earlier start did them
            self._reporter.skip(before - self._done, f"{self._label}: goes on")
            self._done = before
        self._reporter.advance(epochs - self._done, f"{self._label}: {said}")
        self._done, self._last = epochs, time.monotonic()
