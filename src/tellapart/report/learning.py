"""The figure of a learning curve: accuracy against the number of training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tellapart.records import CurveRecord, LearningRecord
from tellapart.report.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
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

STEPS_OF_LINE = 80


@calm_style()
def plot_learning(record: LearningRecord) -> Figure:
    """Draw the mean and each seed at every size, the fitted curve, and what it foresees.

    The curve is dashed where it goes beyond the data, up to twice as many images, where the
    interval of the gain stands.
    """
    figure = open_figure(9.0, 4.0)
    axes = dress_axes(figure.add_subplot())
    if not record.points:
        say_nothing(axes, "no size of the data was trained on")
        return figure
    points = record.points
    images = [point.images for point in points]
    means = [point.accuracy.value for point in points]
    errors = [
        [max(0.0, point.accuracy.value - point.accuracy.low) for point in points],
        [max(0.0, point.accuracy.high - point.accuracy.value) for point in points],
    ]
    axes.errorbar(images, means, yerr=errors, color=BLUE, marker="o", markersize=7, capsize=4,
                  elinewidth=1.3, linewidth=0, zorder=3, label="mean, 95 % interval")  # fmt: skip
    for number, point in enumerate(points):
        axes.plot([point.images] * len(point.seeds), point.seeds, "o", color="none",
                  markersize=5.5, markeredgecolor=INK, markeredgewidth=1.1, linewidth=0, zorder=4,
                  label="one seed" if number == 0 else None)  # fmt: skip
    if record.transfer is not None:
        shown = [(point.images, point.accuracy.value) for point in record.transfer.points]
        axes.plot(*zip(*shown, strict=True), "s-", color=GREEN, markersize=6.5, linewidth=1.4,
                  zorder=3, label="pretrained backbone, logistic head")  # fmt: skip
    marks = list(images)
    if record.curve is not None:
        _draw_curve(axes, record.curve, images[0], images[-1])
        if record.gain is not None:
            marks.append(2 * images[-1])
            _draw_gain(axes, record, 2 * images[-1])
    _scale_images(axes, marks)
    show_percent(axes, "y")
    axes.set_title("Accuracy on val")
    axes.set_xlabel("training images (log scale)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def predict(curve: CurveRecord, size: float) -> float:
    """Return the accuracy that a curve gives to so many images, or to such a network."""
    return float(1 - curve.floor - curve.scale * (size / curve.largest) ** -curve.power)


def _draw_curve(axes: Axes, curve: CurveRecord, first: int, last: int) -> None:
    for start, end, style, label in (
        (first, last, "-", "fitted power law"),
        (last, 2 * last, (0, (4, 2)), "beyond the data"),
    ):
        x = [start * (end / start) ** (i / STEPS_OF_LINE) for i in range(STEPS_OF_LINE + 1)]
        axes.plot(x, [predict(curve, value) for value in x], color=MUTED, linewidth=1.6,
                  linestyle=style, zorder=2, label=label)  # fmt: skip


def _draw_gain(axes: Axes, record: LearningRecord, images: int) -> None:
    assert record.curve is not None and record.gain is not None
    base = predict(record.curve, record.curve.largest)
    middle = base + record.gain.value
    reach = [[record.gain.value - record.gain.low], [record.gain.high - record.gain.value]]
    axes.errorbar([images], [middle], yerr=reach, color=VERMILION, marker="D", markersize=7,
                  capsize=4, elinewidth=1.5, linewidth=0, zorder=5,
                  label="twice the data: what the curve says")  # fmt: skip


def _scale_images(axes: Axes, marks: list[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    axes.set_xlim(marks[0] / 1.25, marks[-1] * 1.25)
    axes.set_xticks(marks, [f"{mark:,}" for mark in marks])
    axes.xaxis.set_minor_locator(NullLocator())
