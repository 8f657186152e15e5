"""Transfer: what a pretrained backbone adds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from tellapart.records import TransferStep
from tellapart.report import canvas, wording
from tellapart.report.sections.model import picture_model, say_limits
from tellapart.report.sections.section import Section


def answer(step: TransferStep, classes: Sequence[str]) -> str:
    """Say what the best backbone gets, frozen and fine-tuned."""
    chosen = max(step.backbones, key=lambda row: row.val_score.value)
    tuned, count = step.tuned, len(step.backbones)
    frozen = step.test_score if tuned is None else tuned.frozen_score
    said = (
        f"A head of {chosen.head_parameters:,} parameters on the frozen backbone {chosen.name} "
        f"gets {wording.say_score(step.test.metric, frozen)}"
        + (f", chosen on val from {count} backbones." if count > 1 else ".")
    )
    if tuned is not None:
        layers = "its last layers" if tuned.depth == "last" else "all its layers"
        said += (
            f" Fine-tuned ({layers}, {wording.say_count(len(tuned.run.history), 'epoch')}), the "
            f"same backbone gets {wording.say_estimate(tuned.score)}. {tuned.comparison.sentence}"
        )
    return said + say_limits(step)


@canvas.calm_style()
def plot_backbones(step: TransferStep) -> canvas.Figure:
    """Draw the score of each backbone against the seconds of its features, and its size."""
    rows = sorted(step.backbones, key=lambda row: -row.val_score.value)
    title = wording.title_score(step.run.metric, step.run.chosen_on)
    figure = canvas.open_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, costs in (
        (left, "seconds to compute the features", [row.extraction_seconds for row in rows]),
        (right, "million parameters", [row.parameters / 1e6 for row in rows]),
    ):
        canvas.dress_axes(axes, "both")
        looks = zip(cycle(canvas.SERIES), cycle(canvas.MARKERS), strict=True)
        for row, cost, look in zip(rows, costs, looks, strict=False):
            label = wording.shorten_label(row.name, 36)
            canvas.draw_estimates(axes, [cost], [row.val_score], look, label)
        if min(costs) > 0 and max(costs) / min(costs) > 20:
            axes.set_xscale("log")
        else:
            axes.set_xlim(0, max([*costs, 1e-6]) * 1.12)
        axes.set_xlabel(name)
    canvas.show_percent(left, "y")
    left.set_title(f"{title}, with its 95 % interval")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


TRANSFER = Section(
    title="Transfer",
    question="What does a pretrained backbone add?",
    answer=answer,
    pictures=picture_model,
    plots={"backbones": plot_backbones},
    template="transfer.html",
)
