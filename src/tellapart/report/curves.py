"""Learning curves of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tellapart.records import RunRecord
from tellapart.report.canvas import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    calm_style,
    dress_axes,
    open_figure,
    say_nothing,
    show_percent,
)
from tellapart.report.wording import say_percent, shorten_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@calm_style()
def plot_curves(run: RunRecord, title: str) -> Figure:
    """Draw accuracy and loss by epoch, for train and for the split the best epoch is chosen on.

    The best epoch has a vertical line and a labelled dot in both panels.
    """
    figure = open_figure(9.0, 3.7)
    if title:
        figure.suptitle(shorten_label(title, 90), x=0.008, ha="left", fontsize=12, color=INK)
    left, right = figure.subplots(1, 2)
    if not run.history:
        say_nothing(left, "no epochs were recorded")
        right.set_axis_off()
        return figure
    epochs = [row.epoch for row in run.history]
    _draw_panel(
        left, run, epochs, [row.accuracy for row in run.history],
        [row.val_accuracy for row in run.history],
    )  # fmt: skip
    _draw_panel(
        right, run, epochs, [row.loss for row in run.history],
        [row.val_loss for row in run.history],
    )  # fmt: skip
    show_percent(left, "y")
    left.set_title("Accuracy", pad=20)
    right.set_title("Loss", pad=20)
    _mark_best(left, run, "accuracy")
    _mark_best(right, run, "loss")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_panel(
    axes: Axes, run: RunRecord, epochs: list[int], train: list[float], chosen: list[float]
) -> None:
    from matplotlib.ticker import MaxNLocator

    dress_axes(axes)
    marker = "o" if len(epochs) < 3 else ""
    axes.plot(epochs, train, color=ORANGE, linewidth=1.5, marker=marker, label="train")
    axes.plot(epochs, chosen, color=BLUE, linewidth=2.2, marker=marker, label=run.chosen_on)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.margins(x=0.03)


def _mark_best(axes: Axes, run: RunRecord, what: str) -> None:
    row = next((row for row in run.history if row.epoch == run.best_epoch), None)
    if row is None:
        return
    value = row.val_accuracy if what == "accuracy" else row.val_loss
    said = say_percent(value) if what == "accuracy" else f"{value:.3f}"
    axes.axvline(row.epoch, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.plot([row.epoch], [value], "o", color=BLUE, markersize=8, zorder=5,
              markeredgecolor=PAPER, markeredgewidth=1.4)  # fmt: skip
    low, high = axes.get_xlim()
    share = (row.epoch - low) / (high - low)
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    axes.annotate(
        f"best epoch {row.epoch}: {said}", (row.epoch, 1.0), (0, 4), ha=side, va="bottom",
        xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=9, color=INK,
    )  # fmt: skip
