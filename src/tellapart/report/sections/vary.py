"""Vary: one or two settings, any of a network's or of its training."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.records import LevelRecord, Scalar, VaryStep
from tellapart.report import canvas, wording
from tellapart.report.ranking import say_certainty, say_levels, say_training
from tellapart.report.sections.section import Section

DARKEST = 0.9  # opacity of the best cell


def answer(step: VaryStep, classes: Sequence[str]) -> str:
    """Say which level to take, and how sure that is."""
    names = [wording.say_level(level.values) for level in step.levels]
    figures = [level.figures for level in step.levels]
    said = say_levels(step.ranking, names) + say_certainty(step.ranking, names, figures, "level")
    return said if step.epochs is None else said + say_training(figures, step.epochs)


@canvas.calm_style()
def plot_levels(step: VaryStep) -> canvas.Figure:
    """Draw the score of every level: one setting as dots, two as a heat map."""
    return _plot_one(step) if len(step.settings) == 1 else _plot_two(step)


def _plot_one(step: VaryStep) -> canvas.Figure:
    figure = canvas.open_figure(9.0, 1.5 + 0.42 * len(step.levels))
    axes = canvas.dress_axes(figure.add_subplot(), grid="x")
    (name,), labels = step.settings, []
    for y, level in enumerate(step.levels):
        row = level.figures
        axes.axhspan(y - 0.5, y + 0.5, color=canvas.SKY, linewidth=0,
                     alpha=0.4 * step.ranking.candidates[y].picked)  # fmt: skip
        canvas.draw_seeds(axes, row.seeds, [y] * len(row.seeds))
        said = _say_value(level.values[name])
        labels.append(f"take: {said}" if y == step.ranking.taken else said)
    scores = [level.figures.val_score for level in step.levels]
    canvas.draw_estimates(axes, range(len(labels)), scores, across=True)
    axes.set_yticks(range(len(labels)), labels, color=canvas.INK)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    canvas.show_percent(axes, "x")
    title = f"{wording.title_score(step.metric, 'val')} by {wording.say_setting(name)}"
    axes.set_title(f"{title}; shaded: as often as resamples pick it")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _plot_two(step: VaryStep) -> canvas.Figure:
    (down_name, down), (across_name, across) = step.settings.items()
    width = 1.8 + 0.09 * max(len(_say_value(value)) for value in down) + 1.15 * len(across)
    figure = canvas.open_figure(max(5.0, width), 1.7 + 0.62 * len(down))
    axes = canvas.dress_axes(figure.add_subplot(), None)
    values = [level.figures.val_score.value for level in step.levels]
    low, span = min(values), (max(values) - min(values)) or 1.0
    for place, level in enumerate(step.levels):
        x, y = across.index(level.values[across_name]), down.index(level.values[down_name])
        shade = DARKEST * (level.figures.val_score.value - low) / span
        _draw_level(axes, (x, y), shade, level, (step, place))
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axes.set(xlabel=wording.say_setting(across_name), ylabel=wording.say_setting(down_name))
    axes.set_xticks(range(len(across)), [_say_value(value) for value in across], color=canvas.INK)
    axes.set_yticks(range(len(down)), [_say_value(value) for value in down], color=canvas.INK)
    axes.set_title(f"{wording.title_score(step.metric, 'val')}, %, and half its interval", pad=10)
    figure.supxlabel(
        "dashed: may be the one to take; solid: the one taken", fontsize=9, color=canvas.MUTED
    )
    return figure


def _draw_level(
    axes: canvas.Axes,
    place: tuple[int, int],
    shade: float,
    level: LevelRecord,
    which: tuple[VaryStep, int],
) -> None:
    from matplotlib.patches import Rectangle

    (x, y), score, (step, number) = place, level.figures.val_score, which
    color = canvas.shade_cell(axes, x, y, shade)
    if number in step.ranking.open:
        taken = number == step.ranking.taken
        box = Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, facecolor="none")
        box.set(edgecolor=canvas.VERMILION, linewidth=2.6 if taken else 1.4)
        box.set_linestyle("-" if taken else (0, (3, 2)))
        axes.add_patch(box)
    for dy, size, said in (
        (-0.1, 11, f"{100 * score.value:.1f}"),
        (0.22, 8, f"± {50 * (score.high - score.low):.1f}"),
    ):
        axes.text(x, y + dy, said, ha="center", va="center", color=color, fontsize=size)


def _say_value(value: Scalar) -> str:
    return wording.shorten_label(wording.say_scalar(value), 22)


VARY = Section(
    title="Settings",
    question="Do the settings that were varied matter, and which values are best?",
    answer=answer,
    plots={"levels": plot_levels},
    template="vary.html",
)
