"""Search: the best network trained from scratch, what it costs, and how much of it was luck."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tellapart.records import COSTS, Confirmation, Cost, SearchStep
from tellapart.report import canvas, wording
from tellapart.report.sections.model import picture_model, say_limits, say_network
from tellapart.report.sections.section import Section

AXES: dict[Cost, tuple[str, float]] = {  # how a cost is called, and what it is multiplied by
    "parameters": ("parameters", 1.0),
    "seconds": ("seconds to train", 1.0),
    "predict_seconds": ("seconds for 1,000 images", 1000.0),
}
ENDED = {"failed": "failed", "stopped": "stopped early as hopeless"}


def answer(step: SearchStep, classes: Sequence[str]) -> str:
    """Say which network is best, what it gets, and how much of its score was luck."""
    tried, run, found = len(step.trials), step.run, step.confirmation
    best = f"The best of {tried} networks tried" if tried > 1 else "The network tried"
    counts = {status: sum(t.status == status for t in step.trials) for status in ENDED}
    gone = ", ".join(f"{count} {ENDED[status]}" for status, count in counts.items() if count)
    if run.chosen_on == "test":  # the protocol of the reference study, whose search was by hand
        gone = gone or "the reference study's own"
    said = (
        f"{best} is {say_network(run)}; trained for "
        f"{wording.say_count(len(run.history), 'epoch')} it gets "
        f"{wording.say_score(step.test.metric, step.test_score)}{f' ({gone})' if gone else ''}."
    )
    if found is not None:
        said += (
            f" The search's score, {wording.say_percent(found.score.value)} on {run.chosen_on}, "
            f"was the highest of its trials; with "
            f"{wording.say_count(len(found.seeds), 'fresh seed')} the same training gets "
            f"{wording.say_estimate(found.mean)}. {say_luck(found)}"
        )
    elif tried > 1:
        said += (
            " How much of that choice was luck was not measured, for there was no time to train it "
            "again with fresh seeds."
        )
    return said + say_limits(step)


def _list_points(step: SearchStep, cost: str, factor: float = 1) -> dict[int, tuple[float, float]]:
    """Return (what it costs, its score) of each trial that has one."""
    return {
        trial.number: (factor * getattr(trial, cost), trial.val_score.value)
        for trial in sorted(step.trials, key=lambda trial: trial.number)
        if trial.val_score is not None
    }


def _draw_trials(
    axes: canvas.Axes, step: SearchStep, points: dict[int, tuple[float, float]]
) -> None:
    """Draw a dot for each trial, and the best one."""
    axes.plot(*zip(*points.values(), strict=True), "o", color=canvas.BLUE, markersize=6, alpha=0.85,
              linewidth=0, label="trial")  # fmt: skip
    best, label = points[step.best_trial], f"best: trial {step.best_trial}"
    canvas.draw_dot(axes, *best, canvas.VERMILION, 10, label)


def say_luck(found: Confirmation) -> str:
    """Say how much of a winner's score was luck, if fresh seeds can tell."""
    span = f"({100 * found.low:.1f} to {100 * found.high:.1f} points)"
    if found.low <= 0:
        return f"How much of the score was luck they cannot tell {span}."
    return f"So luck made {100 * found.luck:.1f} points of the score {span}."


@canvas.calm_style()
def plot_trials(step: SearchStep) -> canvas.Figure:
    """Draw the score by trial with the best so far, and what fresh seeds make of the winner."""
    figure = canvas.open_figure(9.0, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    points = _list_points(step, "number")
    canvas.dress_axes(left)
    climb = list(accumulate((score for _, score in points.values()), max))
    left.step(list(points), climb, where="post", color=canvas.INK, linewidth=1.4,
              label="best so far")  # fmt: skip
    _draw_trials(left, step, points)
    failed = [trial.number for trial in step.trials if trial.number not in points]
    left.margins(y=0.1)
    if failed:
        left.plot(failed, [0.025] * len(failed), "x", color=canvas.VERMILION, markersize=7,
                  markeredgewidth=1.8, label="failed or stopped",
                  transform=left.get_xaxis_transform())  # fmt: skip
    canvas.count_epochs(left, "trial")
    canvas.show_percent(left, "y")
    left.set_title(f"{wording.title_score(step.run.metric, step.run.chosen_on)}, trial by trial")
    _draw_confirmation(right, step.confirmation, step.run.chosen_on)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_confirmation(axes: canvas.Axes, found: Confirmation | None, split: str) -> None:
    """Draw the search's score beside what fresh seeds make of the same settings."""
    if found is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "the winner was not trained again", ha="center", va="center",
                  color=canvas.MUTED, transform=axes.transAxes)  # fmt: skip
        return
    canvas.dress_axes(axes)
    canvas.draw_estimates(axes, [0], [found.score], (canvas.VERMILION, "o"))
    canvas.draw_estimates(axes, [1], [found.mean])
    canvas.draw_seeds(axes, [1.16] * len(found.seeds), found.seeds)
    fresh = wording.say_count(len(found.seeds), "fresh seed")
    axes.set_xticks([0, 1], ["the search's\nscore", f"{fresh}\n(mean)"])
    axes.set_xlim(-0.6, 1.6)
    canvas.show_percent(axes, "y")
    axes.set_title(f"How much was luck, on {split}")


@canvas.calm_style()
def plot_costs(step: SearchStep) -> canvas.Figure:
    """Draw the score against parameters, training and prediction time, with the frontiers."""
    figure = canvas.open_figure(9.0, 3.7)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, cost in zip(panels, COSTS, strict=True):
        _draw_cost(canvas.dress_axes(axes), step, cost)
    canvas.show_percent(panels[0], "y")
    panels[0].set_title(
        f"{wording.title_score(step.run.metric, step.run.chosen_on)}, against what it costs"
    )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_cost(axes: canvas.Axes, step: SearchStep, cost: Cost) -> None:
    name, factor = AXES[cost]
    points = {n: (max(x, 1e-9), y) for n, (x, y) in _list_points(step, cost, factor).items()}
    _draw_trials(axes, step, points)
    front = [points[number] for number in step.frontier.get(cost, ()) if number in points]
    if front:
        axes.step(*zip(*front, strict=True), where="post", color=canvas.INK, linewidth=1.3,
                  label="frontier: none cheaper is better")  # fmt: skip
    axes.set_xlabel(f"{name} (log scale)")
    axes.set_xscale("log")
    axes.margins(x=0.08)
    costs = [x for x, _ in points.values()]
    span = max(costs) / min(costs)
    subs = (1.0,) if span > 60 else (1.0, 3.0) if span > 8 else (1.0, 2.0, 5.0)
    axes.locator_params(axis="x", subs=subs, numticks=8)
    axes.xaxis.set_major_formatter(lambda value, _: canvas.say_amount(value))
    axes.minorticks_off()


SEARCH = Section(
    title="Search",
    question="How good does the best network trained from scratch get?",
    answer=answer,
    pictures=picture_model,
    plots={"trials": plot_trials, "costs": plot_costs},
    template="search.html",
)
