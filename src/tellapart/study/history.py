"""The epochs of a finished training in numbers, by the metrics that were tracked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tellapart.errors import SettingError, suggest_name
from tellapart.records import EpochRow, HistoryRecord
from tellapart.study.compare import find_models

METRICS = tuple(name for name in EpochRow.model_fields if name != "epoch")
"""What is tracked of every epoch."""
DIGITS = {"seconds": ".2f", "lr": ".3g"}


def read_history(folder: str | Path, metrics: Sequence[str] = METRICS) -> tuple[HistoryRecord, ...]:
    """Return the epochs of the final models of a study, or of one of its steps.

    Args:
        folder: of a finished study, or of one of its steps.
        metrics: those to return, of ``METRICS``.

    Raises:
        SettingError: a metric that is not tracked; the nearest one is named.
        WorkspaceError: the folder is neither, or is unfinished, or a file was altered.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise SettingError(
                f"the metrics that are tracked are {', '.join(METRICS)}, but got "
                f"{metric!r}{suggest_name(metric, METRICS)}"
            )
    return tuple(
        HistoryRecord(
            step=one.step,
            model=one.record.model,
            best_epoch=one.record.run.best_epoch,
            epochs=tuple(row.epoch for row in one.record.run.history),
            metrics={
                metric: tuple(getattr(row, metric) for row in one.record.run.history)
                for metric in metrics
            },
        )
        for one in find_models(folder)
    )


def describe_history(records: Sequence[HistoryRecord]) -> str:
    """Return tables that a person reads: a line an epoch, the best one marked."""
    blocks: list[str] = []
    for record in records:
        heads = ("epoch", *record.metrics)
        lines = [f"{record.step}: {record.model}", "  ".join(head.rjust(8) for head in heads)]
        for place, epoch in enumerate(record.epochs):
            cells = [f"{epoch:>8}"] + [
                f"{values[place]:{DIGITS.get(name, '.4f')}}".rjust(max(8, len(name)))
                for name, values in record.metrics.items()
            ]
            lines.append("  ".join(cells) + ("  best" if epoch == record.best_epoch else ""))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
