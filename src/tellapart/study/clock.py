"""The seconds that parts of a study took, kept so that a start after a kill has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tellapart.config import hash_settings
from tellapart.records import Place, Record
from tellapart.workspace import read_record, write_json


class Part(Record):
    """The seconds of one part, as they are kept."""

    part: str
    seconds: float


@dataclass(frozen=True)
class Clock:
    """Keeps the seconds of the parts of each place of a study, in its folder."""

    folder: Path

    def keep(self, place: Place, part: str, seconds: float) -> None:
        """Keep the seconds of a part, in the place of what it had."""
        write_json(self._locate(place, part), Part(part=part, seconds=seconds))

    def add(self, place: Place, part: str, seconds: float) -> None:
        """Keep further seconds of a part that each start may do some of."""
        self.keep(place, part, seconds + self.read_part(place, part))

    def read_part(self, place: Place, part: str) -> float:
        """Return the seconds of one part; 0 where it took none."""
        path = self._locate(place, part)
        return read_record(path, Part).seconds if path.is_file() else 0.0

    def read(self, place: Place) -> float:
        """Return the seconds of all parts of a place."""
        paths = sorted((self.folder / place / "clock").glob("*.json"))
        return sum(read_record(path, Part).seconds for path in paths)

    def _locate(self, place: Place, part: str) -> Path:
        return self.folder / place / "clock" / f"{hash_settings(part)}.json"
