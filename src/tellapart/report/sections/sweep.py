"""A sweep: one setting, several sizes, several seeds. It serves two steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import fmean

from tellapart.records import EpochRow, Ranking, RunRecord, SweepStep
from tellapart.report import canvas, wording
from tellapart.report.ranking import LEAST, say_certainty, say_sizes, say_training
from tellapart.report.sections.model import picture_model, say_limits
from tellapart.report.sections.section import Section


def answer(step: SweepStep, classes: Sequence[str]) -> str:
    """Say whether there is an ideal size, and what the network with it gets."""
    taken, setting = step.sizes[step.ranking.taken], wording.say_setting(step.setting)
    names = [f"{size.size:,}" for size in step.sizes]
    epochs = max(len(run.history) for run in step.runs)
    fewest, most = (choose(len(size.seeds) for size in step.sizes) for choose in (min, max))
    seeds = f"{fewest} to {most} seeds" if fewest < most else wording.say_count(most, "seed")
    failed = sum(size.failed for size in step.sizes)
    return (
        f"{say_sizes(step.ranking, step.sizes, step.setting, step.test.metric)}"
        f"{say_certainty(step.ranking, names, step.sizes)}"
        f"{say_training(step.sizes, epochs)} The network with {taken.size:,} {setting} "
        f"gets {wording.say_score(step.test.metric, step.test_score)} ({seeds} a size, "
        f"{wording.say_seconds(taken.seconds)} a training)."
        + (f" Not counted are trainings that failed: {failed}." if failed else "")
        + say_limits(step)
    )


@canvas.calm_style()
def plot_sweep_curves(step: SweepStep) -> canvas.Figure:
    """Draw the accuracy of all sizes by epoch, as means over seeds, train thin and dashed."""
    from matplotlib.lines import Line2D

    figure = canvas.open_figure(9.0, 4.4)
    axes = canvas.dress_axes(figure.add_subplot())
    groups: dict[int, list[RunRecord]] = defaultdict(list)
    for run in step.runs:
        size = run.settings.get(step.setting)
        if isinstance(size, int) and run.history:
            groups[size].append(run)
    handles, colors = [], canvas.pick_order(len(groups))
    for (size, runs), color in zip(sorted(groups.items()), colors, strict=True):
        epochs, train, chosen = _average_epochs(runs)
        axes.plot(epochs, train, color=color, linewidth=0.9, linestyle=canvas.DASHED)
        axes.plot(epochs, chosen, color=color, linewidth=2.1)
        best = max(range(len(epochs)), key=chosen.__getitem__)
        canvas.draw_dot(axes, epochs[best], chosen[best], color)
        handles.append(Line2D([], [], color=color, linewidth=2.6, label=f"{size:,}"))
    canvas.count_epochs(axes)
    axes.set_title("Accuracy by epoch, mean over seeds")
    canvas.show_percent(axes, "y")
    axes.margins(x=0.03)
    figure.legend(handles=handles, title=wording.say_setting(step.setting), labelspacing=0.55,
                  loc="outside right upper", alignment="left")  # fmt: skip
    styles = [
        Line2D([], [], color=canvas.MUTED, linewidth=2.1, label=step.run.chosen_on),
        Line2D([], [], color=canvas.MUTED, linewidth=0.9, linestyle=canvas.DASHED, label="train"),
        Line2D([], [], color=canvas.MUTED, linewidth=0, marker="o", label="best epoch"),
    ]
    figure.legend(handles=styles, loc="outside right lower", alignment="left")
    return figure


def _average_epochs(runs: Sequence[RunRecord]) -> tuple[list[int], list[float], list[float]]:
    """Return epochs, and the means over the runs that reached each, on train and as chosen."""
    found: dict[int, list[EpochRow]] = defaultdict(list)
    for row in (row for run in runs for row in run.history):
        found[row.epoch].append(row)
    epochs = sorted(found)
    train = [fmean(row.accuracy for row in found[epoch]) for epoch in epochs]
    return epochs, train, [fmean(row.val_accuracy for row in found[epoch]) for epoch in epochs]


@canvas.calm_style()
def plot_sweep_sizes(step: SweepStep) -> canvas.Figure:
    """Draw the score against size with its spread and the choice, beside what each size costs."""
    figure = canvas.open_figure(9.0, 4.4)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1))
    main = canvas.dress_axes(figure.add_subplot(grid[:, 0]))
    rows = sorted(step.sizes, key=lambda row: row.size)
    sizes = [row.size for row in rows]
    canvas.scale_sizes(main, sizes)
    scores = [row.val_score for row in rows]
    main.plot(sizes, [score.value for score in scores], color=canvas.BLUE, linewidth=2.0, zorder=3)
    canvas.draw_estimates(main, sizes, scores)
    for row in rows:
        canvas.draw_seeds(main, [row.size] * len(row.seeds), row.seeds)
    _shade_open(main, sizes, step.ranking)
    canvas.show_percent(main, "y")
    main.set_title(wording.title_score(step.run.metric, step.run.chosen_on), pad=22)
    main.set_xlabel(wording.say_setting(step.setting))
    _mark_taken(main, step, sizes)
    same = len({row.threads for row in rows}) == 1
    costs = [row.seconds * (1 if same else row.threads) for row in rows]
    title = f"Training of a run, {'' if same else 'core '}seconds"
    _draw_cost(figure.add_subplot(grid[0, 1]), sizes, costs, title)
    lower = figure.add_subplot(grid[1, 1])
    _draw_cost(lower, sizes, [row.parameters for row in rows], "Parameters")
    lower.set_xlabel(wording.say_setting(step.setting))
    return figure


def _shade_open(axes: canvas.Axes, sizes: list[int], ranking: Ranking) -> None:
    """Shade sizes by how often resamples pick them, each up to half-way to its neighbours."""
    middles = [(a * b) ** 0.5 for a, b in pairwise(sizes)]
    edges = [sizes[0] / 1.35, *middles, sizes[-1] * 1.35]
    beside = axes.get_xaxis_transform()
    for size, one, low, high in zip(sizes, ranking.candidates, edges, edges[1:], strict=False):
        if one.picked >= LEAST:
            axes.axvspan(low, high, color=canvas.SKY, alpha=0.4 * one.picked, linewidth=0)
            said, box = f"{100 * one.picked:.0f} %", {"fc": canvas.PAPER, "ec": "none", "pad": 1.5}
            axes.text(size, 0.02, said, transform=beside, ha="center", fontsize=8.5, zorder=6,
                      color=canvas.MUTED, bbox=box)  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.08 * (high - low), high)


def _mark_taken(axes: canvas.Axes, step: SweepStep, sizes: list[int]) -> None:
    chosen = sizes[step.ranking.taken]
    canvas.mark_place(axes, chosen, f"take {chosen:,}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9,
                handletextpad=0.5, columnspacing=1.4)  # fmt: skip


def _draw_cost(axes: canvas.Axes, sizes: list[int], values: Sequence[float], title: str) -> None:
    canvas.scale_sizes(canvas.dress_axes(axes), sizes)
    axes.plot(sizes, values, color=canvas.INK, linewidth=1.5, marker="o", markersize=4.5)
    axes.set_ylim(bottom=0, top=max([*values, 1e-9]) * 1.12)
    axes.set_title(title, fontsize=10)
    if len(sizes) > 5:
        axes.set_xticks(sizes[::2], [f"{size:,}" for size in sizes[::2]])
    axes.locator_params(axis="y", nbins=4)
    axes.yaxis.set_major_formatter(lambda value, _: canvas.say_amount(value))


def _make_section(title: str, what: str) -> Section:
    return Section(
        title=title,
        question=f"Does the size of the {what} matter, and which one is best?",
        answer=answer,
        pictures=partial(picture_model, counts=False),
        plots={"sweep_curves": plot_sweep_curves, "sweep_sizes": plot_sweep_sizes},
        template="sweep.html",
    )


CONV = _make_section("Convolution size", "convolution")
DENSE = _make_section("Dense size", "dense layer")
