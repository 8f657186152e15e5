"""Figures of counts and scores: images per class, recall per class, accuracy per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tellapart.records import (
    ROLES,
    STEPS,
    ClassScore,
    DataRecord,
    ModelStep,
    StudyRecord,
    TestRecord,
)
from tellapart.report.canvas import (
    BLUE,
    GREEN,
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
from tellapart.report.wording import TITLES, label_classes, say_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LISTED = 40  # classes up to which each has a row of its own
POINTS = 200  # of more classes, a part has a point of its own


@calm_style()
def plot_class_scores(test: TestRecord) -> Figure:
    """Draw the recall of each class with its interval, best first, beside the accuracy of all.

    Of more than 40 classes, the 40 with the lowest recall are drawn.
    """
    rows = [row for row in test.per_class if row.support]
    rows = sorted(rows, key=lambda row: (row.recall.value, row.name))[:LISTED]
    figure = open_figure(9.0, 0.3 * max(len(rows), 2) + 1.3)
    axes = figure.add_subplot()
    if not rows:
        say_nothing(axes, "no class has a score")
        return figure
    dress_axes(axes, "x")
    names = [row.name for row in test.per_class]
    labels = dict(zip(names, label_classes(names, 30), strict=True))
    _draw_intervals(axes, rows)
    axes.set_yticks(range(len(rows)), [labels[row.name] for row in rows], color=INK)
    axes.axvline(test.accuracy.value, color=ORANGE, linewidth=1.6, zorder=1)
    axes.annotate(f"all classes: {say_percent(test.accuracy.value)}", (test.accuracy.value, 1.0),
                  (0, 4), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                  ha="center" if test.accuracy.value < 0.85 else "right", fontsize=9.5,
                  color=INK)  # fmt: skip
    lows = [row.recall.low for row in rows]
    axes.set_xlim(max(min(lows) - 0.05, -0.01), 1.015)
    show_percent(axes, "x")
    hidden = len(test.per_class) - len(rows)
    few = f" (lowest {len(rows)} of {len(test.per_class)} classes)" if hidden else ""
    axes.set_xlabel(f"recall on test, with its 95 % interval{few}")
    return figure


def _draw_intervals(axes: Axes, rows: Sequence[ClassScore]) -> None:
    for y, row in enumerate(rows):
        axes.plot([row.recall.low, row.recall.high], [y, y], color=BLUE, linewidth=2.4,
                  alpha=0.45, solid_capstyle="round")  # fmt: skip
        axes.plot([row.recall.value], [y], "o", color=BLUE, markersize=7.5, markeredgecolor=PAPER,
                  markeredgewidth=1.2)  # fmt: skip
    axes.set_ylim(-0.6, len(rows) - 0.4)


@calm_style()
def plot_counts(data: DataRecord) -> Figure:
    """Draw the images per class, one panel a split.

    More than 40 classes are drawn without names, in the order of their size.
    """
    roles = [role for role in ROLES if data.counts.get(role)]
    count = len(data.classes)
    listed = count <= LISTED
    figure = open_figure(9.0, 0.27 * max(count, 3) + 1.0 if listed else 3.2)
    panels = figure.subplots(1, max(len(roles), 1), sharey=listed, squeeze=False)[0]
    if not roles:
        say_nothing(panels[0], "no images were counted")
        return figure
    for i, (axes, role) in enumerate(zip(panels, roles, strict=True)):
        color = {"train": BLUE, "val": GREEN, "test": ORANGE}[role]
        numbers = [data.counts[role].get(name, 0) for name in data.classes]
        axes.set_title(f"{role}: {sum(numbers):,}", fontsize=10.5)
        if listed:
            _draw_bars(axes, data.classes, numbers, color)
            axes.tick_params(labelleft=i == 0)
        else:
            dress_axes(axes, "y")
            every = -(-count // POINTS)
            axes.fill_between(range(1, count + 1, every), sorted(numbers, reverse=True)[::every],
                              step="mid", color=color, linewidth=0)  # fmt: skip
            axes.set_ylim(bottom=0)
            axes.set_xlabel("classes, largest first")
    return figure


def _draw_bars(axes: Axes, classes: Sequence[str], numbers: list[int], color: str) -> None:
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=MUTED, length=0)
    axes.barh(range(len(classes)), numbers, color=color, height=0.66)
    for y, number in enumerate(numbers):
        axes.annotate(f"{number:,}", (number, y), (4, 0), textcoords="offset points",
                      va="center", fontsize=9, color=INK)  # fmt: skip
    axes.set_yticks(range(len(classes)), label_classes(classes), color=INK)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(0, max([*numbers, 1]) * 1.28)
    axes.set_xticks([])


@calm_style()
def plot_steps(record: StudyRecord) -> Figure:
    """Draw the test accuracy of each step's model with its 95 % interval: the headline."""
    rows = [(name, step) for name in STEPS if isinstance(step := record.steps.get(name), ModelStep)]
    figure = open_figure(9.0, 0.55 * max(len(rows), 2) + 1.15)
    axes = figure.add_subplot()
    if not rows:
        say_nothing(axes, "no model was tested")
        return figure
    dress_axes(axes, "x")
    beside = axes.get_yaxis_transform()
    for y, (_, step) in enumerate(rows):
        score = step.test_accuracy
        axes.plot([score.low, score.high], [y, y], color=BLUE, linewidth=4, alpha=0.4,
                  solid_capstyle="round")  # fmt: skip
        axes.plot([score.value], [y], "o", markersize=11, markeredgewidth=2.0,
                  color=PAPER if step.test.optimistic else BLUE,
                  markeredgecolor=BLUE if step.test.optimistic else PAPER)  # fmt: skip
        axes.text(1.02, y - 0.16, say_percent(score.value), transform=beside, va="center",
                  fontsize=11, fontweight="bold", color=INK)  # fmt: skip
        axes.text(1.02, y + 0.2, f"{100 * score.low:.1f} to {100 * score.high:.1f}",
                  transform=beside, va="center", fontsize=8.5, color=MUTED)  # fmt: skip
    axes.set_yticks(range(len(rows)), [TITLES[name] for name, _ in rows], fontsize=11, color=INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    low = min(step.test_accuracy.low for _, step in rows)
    high = max(step.test_accuracy.high for _, step in rows)
    room = 0.12 * (high - low) + 0.01
    axes.set_xlim(max(low - room, 0.0), min(high + room, 1.0))
    show_percent(axes, "x")
    n = rows[0][1].test_accuracy.n
    note = ", optimistic" if any(step.test.optimistic for _, step in rows) else ""
    axes.set_xlabel(f"accuracy on {n:,} test images, with its 95 % interval{note}")
    return figure
