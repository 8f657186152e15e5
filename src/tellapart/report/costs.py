"""Figures of what a search's trials cost, and of what fresh seeds make of its winner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tellapart.records import COSTS, Confirmation, Cost, SearchStep, TrialRecord
from tellapart.report.canvas import (
    BLUE,
    INK,
    PAPER,
    VERMILION,
    calm_style,
    dress_axes,
    open_figure,
    say_nothing,
    show_percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES: dict[Cost, tuple[str, float]] = {
    "parameters": ("parameters", 1.0),
    "seconds": ("seconds to train", 1.0),
    "predict_seconds": ("seconds to tell 1,000 images", 1000.0),
}
"""How each cost is called, and what it is multiplied by."""


@calm_style()
def plot_costs(step: SearchStep) -> Figure:
    """Draw accuracy against parameters, training time and prediction time, with the frontiers."""
    figure = open_figure(9.0, 3.7)
    done = [trial for trial in step.trials if trial.val_accuracy is not None]
    panels = figure.subplots(1, 3, sharey=True)
    if not done:
        say_nothing(panels[0], "no trial was finished")
        for other in panels[1:]:
            other.set_axis_off()
        return figure
    for axes, cost in zip(panels, COSTS, strict=True):
        _draw_cost(dress_axes(axes), step, done, cost)
    show_percent(panels[0], "y")
    panels[0].set_title(f"Accuracy on {step.run.chosen_on}, against what it costs")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_cost(axes: Axes, step: SearchStep, done: list[TrialRecord], cost: Cost) -> None:
    name, factor = AXES[cost]
    points = {
        trial.number: (max(factor * getattr(trial, cost), 1e-9), trial.val_accuracy.value)
        for trial in done
        if trial.val_accuracy is not None
    }
    axes.plot(*zip(*points.values(), strict=True), "o", color=BLUE, markersize=6, alpha=0.85,
              linewidth=0, label="trial")  # fmt: skip
    front = [points[number] for number in step.frontier.get(cost, ()) if number in points]
    if front:
        axes.step(*zip(*front, strict=True), where="post", color=INK, linewidth=1.3,
                  label="frontier: none cheaper is better")  # fmt: skip
    if step.best_trial in points:
        x, y = points[step.best_trial]
        axes.plot([x], [y], "o", color=VERMILION, markersize=9.5, markeredgecolor=PAPER,
                  markeredgewidth=1.4, linewidth=0, zorder=6,
                  label=f"best: trial {step.best_trial}")  # fmt: skip
    axes.set_xlabel(f"{name} (log scale)")
    _scale_costs(axes, [x for x, _ in points.values()])


def _scale_costs(axes: Axes, values: list[float]) -> None:
    """Give a logarithmic axis few labels, plain numbers, and air on both sides."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = min(values), max(values)
    air = max(1.15, (high / low) ** 0.08)
    axes.set_xlim(low / air, high * air)
    subs = (1.0,) if high / low > 60 else (1.0, 3.0) if high / low > 8 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say_amount(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def say_amount(value: float) -> str:
    """Say a number on an axis in few letters.

    >>> say_amount(50_000), say_amount(2e6), say_amount(0.3), say_amount(40)
    ('50 k', '2 M', '0.3', '40')
    """
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1e3 else f"{value:.3g}"


def draw_confirmation(axes: Axes, found: Confirmation, split: str) -> None:
    """Draw the search's score beside what fresh seeds make of the same settings."""
    dress_axes(axes)
    for x, estimate, color in ((0, found.score, VERMILION), (1, found.accuracy, BLUE)):
        errors = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axes.errorbar([x], [estimate.value], yerr=errors, color=color, marker="o", markersize=8,
                      capsize=4, elinewidth=1.5, linewidth=0, zorder=4)  # fmt: skip
    axes.plot([1.16] * len(found.seeds), found.seeds, "o", color="none", markersize=5.5,
              markeredgecolor=INK, markeredgewidth=1.1, linewidth=0)  # fmt: skip
    seeds = len(found.seeds)
    axes.set_xticks(
        [0, 1], ["the search's\nscore", f"{seeds} fresh seed{'s' if seeds > 1 else ''}\n(mean)"]
    )
    axes.set_xlim(-0.6, 1.6)
    show_percent(axes, "y")
    axes.set_title(f"How much was luck, on {split}")
