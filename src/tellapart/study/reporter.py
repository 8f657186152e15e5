"""What shows a person how the work goes."""

from __future__ import annotations

from typing import Protocol

from tellapart.records import Place, StepName, StepRecord


class Reporter(Protocol):
    """Shows a person how the work goes."""

    def begin(self, step: Place, units: int, seconds: float = 0.0) -> None:
        """A step starts that will take so many units (epochs, or images).

        ``seconds`` is what the plan lets expect, where there is one.
        """

    def advance(self, units: int, text: str) -> None:
        """Units are done; ``text`` says what."""

    def expect(self, seconds: float, units: int | None = None) -> None:
        """What is left has so many seconds (0: not known), and units where those changed."""

    def skip(self, units: int, text: str) -> None:
        """Units were done by an earlier start; no time went into them now."""

    def say(self, text: str) -> None:
        """Something that a person should read."""

    def end(self, record: StepRecord, step: StepName, again: bool) -> None:
        """A step is finished, now or (``again``) by an earlier start."""


class SilentReporter:
    """Shows nothing."""

    def begin(self, step: Place, units: int, seconds: float = 0.0) -> None: ...

    def advance(self, units: int, text: str) -> None: ...

    def expect(self, seconds: float, units: int | None = None) -> None: ...

    def skip(self, units: int, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def end(self, record: StepRecord, step: StepName, again: bool) -> None: ...
