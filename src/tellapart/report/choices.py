"""Figures of what was tried and chosen: search trials and backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tellapart.records import BackboneRecord, SearchStep, TransferStep, TrialRecord
from tellapart.report.canvas import (
    BLUE,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    VERMILION,
    calm_style,
    dress_axes,
    open_figure,
    pad_range,
    say_nothing,
    show_percent,
)
from tellapart.report.costs import draw_confirmation
from tellapart.report.wording import say_estimate, shorten_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@calm_style()
def plot_trials(step: SearchStep) -> Figure:
    """Draw accuracy by trial with the best so far, and what fresh seeds make of the winner."""
    figure = open_figure(9.0, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    done = [t for t in step.trials if t.val_accuracy is not None]
    failed = [t for t in step.trials if t not in done]
    if not done:
        say_nothing(left, "no trial was finished")
        right.set_axis_off()
        return figure
    dress_axes(left)
    _draw_history(left, sorted(done, key=lambda trial: trial.number), failed)
    split = step.run.chosen_on
    for trial in done:
        if trial.number == step.best_trial:
            left.plot([trial.number], [_value(trial)], "o", color=VERMILION, markersize=10,
                      zorder=6, markeredgecolor=PAPER, markeredgewidth=1.4, linewidth=0,
                      label=f"best: trial {trial.number}")  # fmt: skip
    show_percent(left, "y")
    left.set_title(f"Accuracy on {split}, trial by trial")
    if step.confirmation is None:
        say_nothing(right, "the winner was not trained again")
    else:
        draw_confirmation(right, step.confirmation, split)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _value(trial: TrialRecord) -> float:
    assert trial.val_accuracy is not None
    return trial.val_accuracy.value


def _draw_history(axes: Axes, done: list[TrialRecord], failed: list[TrialRecord]) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [trial.number for trial in done]
    values = [_value(trial) for trial in done]
    best = [max(values[: i + 1]) for i in range(len(values))]
    axes.step(numbers, best, where="post", color=INK, linewidth=1.4, label="best so far")
    axes.plot(numbers, values, "o", color=BLUE, markersize=6, alpha=0.85, linewidth=0,
              label="trial")  # fmt: skip
    low, high = pad_range(values, 0.0, 1.0)
    axes.set_ylim(low - 0.06 * (high - low) * bool(failed), high)
    if failed:
        axes.plot([trial.number for trial in failed], [0.025] * len(failed), "x", color=VERMILION,
                  markersize=7, markeredgewidth=1.8, linewidth=0, label="failed or stopped",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


@calm_style()
def plot_backbones(step: TransferStep) -> Figure:
    """Draw accuracy with its interval against the seconds that features took, and the parameters.

    A single backbone is drawn as one interval.
    """
    rows = sorted(step.backbones, key=lambda row: -row.val_accuracy.value)
    split = step.run.chosen_on
    if len(rows) < 2:
        return _draw_single(rows, split)
    figure = open_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_costs(left, rows, [row.extraction_seconds for row in rows])
    left.set_xlabel("seconds to compute the features")
    _draw_costs(right, rows, [row.parameters / 1e6 for row in rows])
    right.set_xlabel("million parameters")
    show_percent(left, "y")
    left.set_title(f"Accuracy on {split}, with its 95 % interval")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_costs(axes: Axes, rows: list[BackboneRecord], costs: list[float]) -> None:
    dress_axes(axes, "both")
    for i, (row, cost) in enumerate(zip(rows, costs, strict=True)):
        estimate = row.val_accuracy
        below, above = estimate.value - estimate.low, estimate.high - estimate.value
        axes.errorbar(
            [cost], [estimate.value], color=SERIES[i % len(SERIES)],
            yerr=[[max(below, 0)], [max(above, 0)]],
            marker=MARKERS[i % len(MARKERS)], markersize=8.5, capsize=4, linewidth=0,
            elinewidth=1.6, label=shorten_label(row.name, 36),
        )  # fmt: skip
    if min(costs) > 0 and max(costs) / min(costs) > 20:
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, max([*costs, 1e-6]) * 1.12)


def _draw_single(rows: list[BackboneRecord], split: str) -> Figure:
    figure = open_figure(9.0, 1.7)
    axes = figure.add_subplot()
    if not rows:
        say_nothing(axes, "no backbone was tried")
        return figure
    dress_axes(axes, "x")
    estimate = rows[0].val_accuracy
    axes.plot([estimate.low, estimate.high], [0, 0], color=BLUE, linewidth=3,
              solid_capstyle="round")  # fmt: skip
    axes.plot([estimate.value], [0], "o", color=BLUE, markersize=10, markeredgecolor=PAPER,
              markeredgewidth=1.5)  # fmt: skip
    axes.annotate(say_estimate(estimate), (estimate.value, 0), (0, 11), ha="center",
                  textcoords="offset points", fontsize=9.5, color=INK)  # fmt: skip
    axes.set_yticks([0], [shorten_label(rows[0].name, 30)], color=INK)
    axes.set_ylim(-0.6, 1.0)
    middle, reach = estimate.value, max(estimate.high - estimate.low, 0.02)
    axes.set_xlim(max(middle - 2 * reach, -0.01), min(middle + 2 * reach, 1.01))
    show_percent(axes, "x")
    axes.set_xlabel(f"accuracy on {split}", color=MUTED)
    return figure
