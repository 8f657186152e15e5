"""The figure of settings that varied: dots for one, a heat map for two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tellapart.records import GridRecord, LevelRecord, Scalar
from tellapart.report.canvas import (
    BLUE,
    HEAT,
    INK,
    MUTED,
    SKY,
    VERMILION,
    calm_style,
    dress_axes,
    open_figure,
    show_percent,
)
from tellapart.report.wording import say_scalar, say_setting, shorten_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARKEST, WHITE_FROM = 0.9, 0.55
"""Opacity of the best cell, and that from which white reads better than ink."""
WHITE = "#fffffe"  # not the paper's white, which turns dark in a dark page


@calm_style()
def plot_grid(record: GridRecord) -> Figure:
    """Draw the accuracy of every level: one setting as dots, two as a heat map."""
    return _plot_one(record) if len(record.settings) == 1 else _plot_two(record)


def _plot_one(record: GridRecord) -> Figure:
    figure = open_figure(9.0, 1.5 + 0.42 * len(record.levels))
    axes = dress_axes(figure.add_subplot(), grid="x")
    (name,) = record.settings
    for place, level in enumerate(record.levels):
        row = level.figures
        tied = row.size in record.verdict.tied
        if tied:
            axes.axhspan(place - 0.5, place + 0.5, color=SKY, alpha=0.18, linewidth=0)
        reach = [[row.val_accuracy.value - row.val_accuracy.low],
                 [row.val_accuracy.high - row.val_accuracy.value]]  # fmt: skip
        axes.errorbar([row.val_accuracy.value], [place], xerr=reach, color=BLUE, marker="o",
                      markersize=7, capsize=4, elinewidth=1.3, linewidth=0, zorder=3,
                      label="mean, 95 % interval" if place == 0 else None)  # fmt: skip
        axes.plot(row.seeds, [place] * len(row.seeds), "o", color="none", markersize=5.5,
                  markeredgecolor=INK, markeredgewidth=1.1, linewidth=0, zorder=4,
                  label="one seed" if place == 0 else None)  # fmt: skip
    names = [_mark(record, level, say_value(level.values[name])) for level in record.levels]
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    show_percent(axes, "x")
    axes.set_title(f"Accuracy on val by {say_setting(name)}; shaded: not told from the best")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _plot_two(record: GridRecord) -> Figure:
    from matplotlib.patches import Rectangle

    (across_name, across), (down_name, down) = reversed(record.settings.items())
    width = 1.8 + 0.09 * max(len(say_value(value)) for value in down) + 1.15 * len(across)
    figure = open_figure(max(5.0, width), 1.7 + 0.62 * len(down))
    axes = figure.add_subplot()
    values = [level.figures.val_accuracy.value for level in record.levels]
    low, high = min(values), max(values)
    for level in record.levels:
        x = across.index(level.values[across_name])
        y = down.index(level.values[down_name])
        value = level.figures.val_accuracy.value
        shade = DARKEST * (value - low) / ((high - low) or 1.0)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=(HEAT, shade), linewidth=0))
        if level.figures.size in record.verdict.tied:
            taken = level.figures.size == record.verdict.take
            axes.add_patch(
                Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, facecolor="none",
                          edgecolor=VERMILION, linewidth=2.6 if taken else 1.4,
                          linestyle="-" if taken else (0, (3, 2)))
            )  # fmt: skip
        half = (level.figures.val_accuracy.high - level.figures.val_accuracy.low) / 2
        color = WHITE if shade > WHITE_FROM else INK
        axes.text(x, y - 0.1, f"{100 * value:.1f}", ha="center", va="center", color=color,
                  fontsize=11)  # fmt: skip
        axes.text(x, y + 0.22, f"± {100 * half:.1f}", ha="center", va="center", color=color,
                  fontsize=8)  # fmt: skip
    _name_sides(axes, (across_name, across), (down_name, down))
    axes.set_title("Accuracy on val, %, and half its interval", pad=10)
    figure.supxlabel(
        "dashed: not told from the best; solid: the cheapest of them", fontsize=9, color=MUTED
    )
    return figure


def _name_sides(
    axes: Axes, across: tuple[str, tuple[Scalar, ...]], down: tuple[str, tuple[Scalar, ...]]
) -> None:
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=MUTED, length=0, pad=4)
    axes.set_xlim(-0.5, len(across[1]) - 0.5)
    axes.set_ylim(len(down[1]) - 0.5, -0.5)
    axes.set_xticks(range(len(across[1])), [say_value(value) for value in across[1]], color=INK)
    axes.set_yticks(range(len(down[1])), [say_value(value) for value in down[1]], color=INK)
    axes.set_xlabel(say_setting(across[0]))
    axes.set_ylabel(say_setting(down[0]))


def say_value(value: Scalar) -> str:
    """Say a value on an axis."""
    return shorten_label(say_scalar(value), 22)


def _mark(record: GridRecord, level: LevelRecord, text: str) -> str:
    return f"take: {text}" if level.figures.size == record.verdict.take else text
