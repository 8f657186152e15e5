"""A study's context without the study, and what keeps what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tellapart.cells.reporter import Reporter
from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.data.split import make_split
from tellapart.evaluate import Seal
from tellapart.models import NetworkSettings
from tellapart.study.context import Context
from tellapart.study.settings import StudySettings


class Sayings(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass(frozen=True, kw_only=True)
class TimedContext(Context):
    """A machine on which an epoch of any network takes ``pace`` seconds."""

    pace: float = 1.0

    def measure_epoch(
        self, model: NetworkSettings, recipe: TrainSettings | None = None, alone: bool = False
    ) -> float:
        return self.pace


def make_context(
    dataset: Dataset,
    settings: StudySettings,
    folder: Path,
    reporter: Reporter | None = None,
    pace: float = 1.0,
) -> TimedContext:
    """Return the context that a study of these settings has."""
    return TimedContext(
        settings=settings,
        dataset=dataset,
        seal=Seal(dataset, make_split(dataset), folder),
        folder=folder,
        reporter=reporter or Reporter(),
        device=settings.compute.device,
        protocol=settings.protocol,
        metric=settings.metric,
        pace=pace,
    )
