"""All figures by name, and the ones that a run and a step leave in their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tellapart.records import (
    GridRecord,
    InspectStep,
    LearningRecord,
    RunRecord,
    SearchStep,
    StepRecord,
    SweepStep,
    TestRecord,
    TransferStep,
)
from tellapart.report.canvas import save_figure, save_png
from tellapart.report.choices import plot_backbones, plot_trials
from tellapart.report.costs import plot_costs
from tellapart.report.curves import plot_curves
from tellapart.report.grids import plot_grid
from tellapart.report.learning import plot_learning
from tellapart.report.matrices import plot_confusion
from tellapart.report.scores import plot_class_scores, plot_counts, plot_steps
from tellapart.report.sweeps import plot_sweep_curves, plot_sweep_sizes

__all__ = [
    "draw_grid",
    "draw_learning",
    "draw_run",
    "draw_step",
    "plot_backbones",
    "plot_class_scores",
    "plot_confusion",
    "plot_costs",
    "plot_counts",
    "plot_curves",
    "plot_grid",
    "plot_learning",
    "plot_steps",
    "plot_sweep_curves",
    "plot_sweep_sizes",
    "plot_trials",
    "save_figure",
]


def draw_run(
    run: RunRecord, test: TestRecord | None, classes: Sequence[str], folder: Path
) -> tuple[Path, ...]:
    """Write a run's figures into its folder, and return the paths.

    ``results`` has the curves. With a test record there are ``confusion_matrix`` (counts) and
    ``confusion_matrix_normalized`` (shares of each true class) as well, and all are PNG and SVG;
    without one, as the many cells of a sweep or search are, it is a PNG alone.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    curves = plot_curves(run, run.model)
    if test is None:
        return (save_png(curves, folder / "results"),)
    counts = plot_confusion(classes, test.confusion, normalized=False)
    shares = plot_confusion(classes, test.confusion, normalized=True)
    return (
        *save_figure(curves, folder / "results"),
        *save_figure(counts, folder / "confusion_matrix"),
        *save_figure(shares, folder / "confusion_matrix_normalized"),
    )


def draw_grid(record: GridRecord, folder: Path) -> tuple[Path, ...]:
    """Write ``grid``, the accuracy of every level of the settings that varied, as PNG and SVG.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    return save_figure(plot_grid(record), folder / "grid")


def draw_learning(record: LearningRecord, folder: Path) -> tuple[Path, ...]:
    """Write ``learning``, accuracy against the number of training images, as PNG and SVG.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    return save_figure(plot_learning(record), folder / "learning")


def draw_step(step: StepRecord, folder: Path) -> tuple[Path, ...]:
    """Write the figures that belong to a whole step, each as PNG and SVG; return the paths.

    ``class_counts`` for inspect, ``sweep_curves`` and ``sweep_sizes`` for the sweeps,
    ``trials`` and ``costs`` for the search, ``backbones`` for transfer; the baseline has none.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    if isinstance(step, InspectStep):
        return save_figure(plot_counts(step.data), folder / "class_counts")
    if isinstance(step, SweepStep):
        return (
            *save_figure(plot_sweep_curves(step), folder / "sweep_curves"),
            *save_figure(plot_sweep_sizes(step), folder / "sweep_sizes"),
        )
    if isinstance(step, SearchStep):
        return (
            *save_figure(plot_trials(step), folder / "trials"),
            *save_figure(plot_costs(step), folder / "costs"),
        )
    if isinstance(step, TransferStep):
        return save_figure(plot_backbones(step), folder / "backbones")
    return ()
