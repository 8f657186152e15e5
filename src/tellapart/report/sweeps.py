"""Figures of a sweep: one setting, several sizes, several seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tellapart.records import CurveRecord, EpochRow, RunRecord, SizeRecord, SweepStep
from tellapart.report.canvas import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    SKY,
    VERMILION,
    calm_style,
    dress_axes,
    open_figure,
    pick_order,
    say_nothing,
    show_percent,
)
from tellapart.report.learning import predict
from tellapart.report.wording import say_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@calm_style()
def plot_sweep_curves(step: SweepStep) -> Figure:
    """Draw the curves of all sizes on one figure, as means over seeds.

    The split that epochs are chosen on is solid, train is thin and dashed, and a dot marks
    the best epoch of each mean curve.
    """
    from matplotlib.lines import Line2D

    figure = open_figure(9.0, 4.4)
    axes = dress_axes(figure.add_subplot())
    groups = _group_runs(step)
    if not groups:
        say_nothing(axes, "no curves were recorded")
        return figure
    colors = pick_order(len(groups))
    handles = []
    for (size, runs), color in zip(groups.items(), colors, strict=True):
        epochs, train = _mean_rows(runs, "accuracy")
        _, chosen = _mean_rows(runs, "val_accuracy")
        axes.plot(epochs, train, color=color, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.plot(epochs, chosen, color=color, linewidth=2.1)
        best = max(range(len(epochs)), key=chosen.__getitem__)
        axes.plot([epochs[best]], [chosen[best]], "o", color=color, markersize=8, zorder=5,
                  markeredgecolor=PAPER, markeredgewidth=1.3)  # fmt: skip
        handles.append(Line2D([], [], color=color, linewidth=2.6, label=f"{size:,}"))
    _label_epochs(axes)
    figure.legend(handles=handles, title=say_setting(step.setting), loc="outside right upper",
                  alignment="left", labelspacing=0.55)  # fmt: skip
    split = step.run.chosen_on
    styles = [
        Line2D([], [], color=MUTED, linewidth=2.1, label=split),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), label="train"),
        Line2D([], [], color=MUTED, linewidth=0, marker="o", label="best epoch"),
    ]
    figure.legend(handles=styles, loc="outside right lower", alignment="left")
    return figure


@calm_style()
def plot_sweep_sizes(step: SweepStep) -> Figure:
    """Draw accuracy against size with its spread, beside what each size costs.

    Each seed is a dot, the mean a line with the 95 % interval. The verdict's size has a line, the
    sizes not told from the best are shaded, a bar at the top says where the knee may lie, and a
    dotted line is the curve that it was read off, where there is one.
    """
    figure = open_figure(9.0, 4.4)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1))
    main = dress_axes(figure.add_subplot(grid[:, 0]))
    if not step.sizes:
        say_nothing(main, "no size was finished")
        return figure
    rows = sorted(step.sizes, key=lambda row: row.size)
    sizes = [row.size for row in rows]
    _scale_sizes(main, sizes)
    _shade_tied(main, sizes, step.verdict.tied)
    _draw_spread(main, rows)
    _draw_power_law(main, sizes, step.verdict.curve)
    show_percent(main, "y")
    main.set_title(f"Accuracy on {step.run.chosen_on}", pad=22)
    main.set_xlabel(say_setting(step.setting))
    _mark_verdict(main, step, sizes)
    upper = dress_axes(figure.add_subplot(grid[0, 1]))
    if len({row.threads for row in rows}) == 1:
        _draw_cost(upper, sizes, [row.seconds for row in rows], "Training time of a run, s")
    else:
        costs = [row.seconds * row.threads for row in rows]
        _draw_cost(upper, sizes, costs, "Training of a run, core seconds")
    lower = dress_axes(figure.add_subplot(grid[1, 1]))
    _draw_cost(lower, sizes, [row.parameters for row in rows], "Parameters")
    lower.set_xlabel(say_setting(step.setting))
    return figure


def _group_runs(step: SweepStep) -> dict[int, list[RunRecord]]:
    groups: dict[int, list[RunRecord]] = defaultdict(list)
    for run in step.runs:
        size = run.settings.get(step.setting)
        if isinstance(size, int) and run.history:
            groups[size].append(run)
    return dict(sorted(groups.items()))


def _mean_rows(runs: Sequence[RunRecord], field: str) -> tuple[list[int], list[float]]:
    """Return epochs, and the mean over the runs that reached each of them."""
    found: dict[int, list[EpochRow]] = defaultdict(list)
    for run in runs:
        for row in run.history:
            found[row.epoch].append(row)
    epochs = sorted(found)
    return epochs, [sum(getattr(r, field) for r in found[e]) / len(found[e]) for e in epochs]


def _label_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_title("Accuracy by epoch, mean over seeds")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    show_percent(axes, "y")
    axes.margins(x=0.03)


def _scale_sizes(axes: Axes, sizes: list[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    axes.set_xlim(sizes[0] / 1.6, sizes[-1] * 1.6)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())


def _shade_tied(axes: Axes, sizes: list[int], tied: tuple[int, ...]) -> None:
    """Shade each unbroken row of tied sizes, up to half-way to its neighbours."""
    edges = [
        sizes[0] / 1.35,
        *((a * b) ** 0.5 for a, b in pairwise(sizes)),
        sizes[-1] * 1.35,
    ]
    start: int | None = None
    label: str | None = "not told from the best"
    for i, size in enumerate([*sizes, -1]):
        if size in tied and start is None:
            start = i
        elif size not in tied and start is not None:
            axes.axvspan(edges[start], edges[i], color=SKY, alpha=0.18, linewidth=0, label=label)
            start, label = None, None


def _draw_spread(axes: Axes, rows: list[SizeRecord]) -> None:
    sizes = [row.size for row in rows]
    means = [row.val_accuracy.value for row in rows]
    below = [max(row.val_accuracy.value - row.val_accuracy.low, 0) for row in rows]
    above = [max(row.val_accuracy.high - row.val_accuracy.value, 0) for row in rows]
    axes.errorbar(sizes, means, yerr=[below, above], color=BLUE, linewidth=2.0, elinewidth=1.3,
                  capsize=4, marker="o", markersize=7, zorder=3,
                  label="mean, 95 % interval")  # fmt: skip
    for i, row in enumerate(rows):
        axes.plot([row.size] * len(row.seeds), row.seeds, "o", color="none", markersize=5.5,
                  markeredgecolor=INK, markeredgewidth=1.1, zorder=4, linewidth=0,
                  label="one seed" if i == 0 else None)  # fmt: skip


def _draw_power_law(axes: Axes, sizes: list[int], curve: CurveRecord | None) -> None:
    if curve is not None:
        steps = [sizes[0] * (sizes[-1] / sizes[0]) ** (step / 100) for step in range(101)]
        axes.plot(steps, [predict(curve, step) for step in steps], color=VERMILION, zorder=5,
                  linewidth=1.6, linestyle=(0, (1, 1.6)),
                  label="power law through all sizes")  # fmt: skip


def _mark_verdict(axes: Axes, step: SweepStep, sizes: list[int]) -> None:
    chosen, knee = step.verdict.size, step.verdict.knee
    if knee is not None:
        reach = [[knee.value - knee.low], [knee.high - knee.value]]
        axes.errorbar([knee.value], [0.965], xerr=reach, color=VERMILION, elinewidth=2.2,
                      transform=axes.get_xaxis_transform(), capsize=4, marker="D", markersize=6,
                      linewidth=0, zorder=3, label="large enough, 95 % interval")  # fmt: skip
    if chosen in sizes and step.verdict.kind != "unknown":
        axes.axvline(chosen, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(f"take {chosen:,}", (chosen, 1.0), (0, 4), va="bottom", ha="center",
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      fontsize=9.5, color=INK)  # fmt: skip
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2 if knee else 3, fontsize=9,
                handletextpad=0.5, columnspacing=1.4)  # fmt: skip


def _draw_cost(axes: Axes, sizes: list[int], values: Sequence[float], title: str) -> None:
    _scale_sizes(axes, sizes)
    axes.plot(sizes, values, color=INK, linewidth=1.5, marker="o", markersize=4.5)
    axes.set_ylim(bottom=0, top=max([*values, 1e-9]) * 1.12)
    axes.set_title(title, fontsize=10)
    if len(sizes) > 5:
        axes.set_xticks(sizes[::2], [str(size) for size in sizes[::2]])
    axes.yaxis.set_major_locator(_coarse())
    axes.yaxis.set_major_formatter(lambda value, _: _say_amount(value))


def _coarse() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4)


def _say_amount(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.6g}"


if TYPE_CHECKING:
    from matplotlib.ticker import MaxNLocator
