"""Learn: would more data help?"""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.records import Estimate, LearnStep
from tellapart.report import canvas, wording
from tellapart.report.sections.section import Section


def answer(step: LearnStep, classes: Sequence[str]) -> str:
    """Say what twice the data should bring, and how a pretrained backbone does with less."""
    return step.sentence + (f" {step.transfer.sentence}" if step.transfer is not None else "")


@canvas.calm_style()
def plot_learning(step: LearnStep) -> canvas.Figure:
    """Draw the mean and each seed at every size, and the curve up to twice as many images."""
    figure = canvas.open_figure(9.0, 4.0)
    axes = canvas.dress_axes(figure.add_subplot())
    sizes = [point.images for point in step.points]
    canvas.draw_estimates(axes, sizes, [point.score for point in step.points])
    for point in step.points:
        canvas.draw_seeds(axes, [point.images] * len(point.seeds), point.seeds)
    if step.transfer is not None:
        shown = [(point.images, point.score.value) for point in step.transfer.points]
        axes.plot(*zip(*shown, strict=True), "s-", color=canvas.GREEN, markersize=6.5,
                  linewidth=1.4, zorder=3, label="pretrained backbone, logistic head")  # fmt: skip
    if step.curve is not None:
        last = sizes[-1]
        for start, end, style, label in (
            (sizes[0], last, "-", "fitted power law"),
            (last, 2 * last, canvas.DASHED, "beyond the data"),
        ):
            axes.plot(*canvas.trace_curve(step.curve, start, end), color=canvas.MUTED,
                      linewidth=1.6, linestyle=style, label=label, zorder=2)  # fmt: skip
        if step.gain is not None:
            base = canvas.predict(step.curve, step.curve.largest)
            shifted = {name: base + part for name, part in step.gain}
            more, label = Estimate(**shifted, n=0), "twice the data: what the curve says"
            canvas.draw_estimates(axes, [2 * last], [more], (canvas.VERMILION, "D"), label)
            sizes.append(2 * last)
    canvas.scale_sizes(axes, sizes, 1.25)
    canvas.show_percent(axes, "y")
    axes.set_title(wording.title_score(step.metric, "val"))
    axes.set_xlabel("training images (log scale)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


LEARN = Section(
    title="More data",
    question="Would more data help?",
    answer=answer,
    plots={"learning": plot_learning},
    template="learn.html",
)
