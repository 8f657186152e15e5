"""How a training ends: in a record, or with the reason why there is none."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tellapart.errors import NotFinite
from tellapart.records import EpochRow, RunRecord, StatusRecord
from tellapart.train.checkpoint import BEST, save_weights
from tellapart.train.progress import Progress
from tellapart.train.ranks import ALONE, Ranks
from tellapart.train.resume import remove_checkpoints
from tellapart.workspace import STATUS, read_record, write_json, write_text

RECORD = "record.json"


def finish_run(folder: Path, record: RunRecord) -> None:
    """Mark a run as done by its record, and remove what it could have gone on from."""
    write_json(folder / RECORD, record)
    (folder / STATUS).unlink(missing_ok=True)
    remove_checkpoints(folder)


def raise_not_finite(folder: Path, progress: Progress, lr: float, ranks: Ranks = ALONE) -> NoReturn:
    """Leave the best weights so far and a status that says why there is no record.

    Of several processes rank 0 writes, and all raise.

    Raises:
        NotFinite: always.
    """
    error = NotFinite(
        f"training stopped: the loss or an output of epoch {len(progress.history) + 1} is "
        f"not finite; use a learning rate below {lr:g}"
    )
    error.seconds = sum(row.seconds for row in progress.history)
    if not ranks.leads:
        raise error
    if progress.best:
        save_weights(folder / BEST, progress.best)
    write_history(folder / "history.csv", progress.history)
    write_json(
        folder / STATUS,
        {"status": "failed: not finite", "note": str(error), "seconds": error.seconds},
    )
    raise error


def read_failure(folder: Path) -> NotFinite | None:
    """Return how the training of a run folder failed, or None if it did not."""
    path = folder / STATUS
    if not path.is_file():
        return None
    found = read_record(path, StatusRecord)
    error = NotFinite(found.note)
    error.seconds = found.seconds
    return error


def write_history(path: Path, history: Sequence[EpochRow]) -> None:
    """Write ``history.csv``, one line an epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EpochRow.model_fields)
    for row in history:
        writer.writerow(f"{value:.6g}" for value in row.model_dump().values())
    write_text(path, text.getvalue())
