"""Search: the best network trained from scratch, what it costs, and how much of it was luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tellapart.records import (
    COSTS,
    Confirmation,
    Cost,
    Estimate,
    SearchStep,
    StepRecord,
)
from tellapart.report import canvas, wording
from tellapart.report.sections.model import picture_model, say_limits, say_network
from tellapart.report.sections.section import Picture, Section, embed

AXES: dict[Cost, tuple[str, float]] = {
    "parameters": ("parameters", 1.0),
    "seconds": ("seconds to train", 1.0),
    "predict_seconds": ("seconds for 1,000 images", 1000.0),
}
"""How each cost is called, and what it is multiplied by."""
ENDED = {"failed": "failed", "stopped": "stopped early as hopeless"}


def answer(step: SearchStep, done: Mapping[str, StepRecord], classes: Sequence[str]) -> str:
    """Say which network is best, what it gets, and how much of its score was luck."""
    tried, run = len(step.trials), step.run
    best = f"The best of {tried} networks tried" if tried > 1 else "The network tried"
    counts = {status: sum(t.status == status for t in step.trials) for status in ENDED}
    gone = ", ".join(f"{count} {ENDED[status]}" for status, count in counts.items() if count)
    if run.chosen_on == "test":  # the protocol of the reference study, whose search was by hand
        gone = gone or "the reference study's own"
    return (
        f"{best} is {say_network(run)}; trained for "
        f"{wording.say_count(len(run.history), 'epoch')} it gets "
        f"{wording.say_score(step.test.metric, step.test_score)}"
        + (f" ({gone})." if gone else ".")
        + say_luck(step.confirmation, run.chosen_on)
        + say_limits(step)
    )


def say_luck(found: Confirmation | None, split: str) -> str:
    """Say how much of the best trial's score fresh seeds leave."""
    if found is None:
        return ""
    score, mean = wording.say_percent(found.score.value), wording.say_estimate(found.mean)
    start = (
        f" The search's score, {score} on {split}, was the highest of its trials; with "
        f"{wording.say_count(len(found.seeds), 'fresh seed')} the same training gets {mean}"
    )
    if found.luck > 0:
        return f"{start}: {100 * found.luck:.1f} points of the score were luck."
    return f"{start}: no luck in that score."


def pictures(step: SearchStep, classes: Sequence[str], folder: Path) -> dict[str, Picture]:
    """Return the trials, what they cost, and the pictures of the model."""
    score = wording.title_score(step.run.metric)
    return {
        "trials": embed(
            plot_trials(step),
            f"{score} of {len(step.trials)} trials in order; the best is trial "
            f"{step.best_trial}. Beside it the winner's score and what fresh seeds make of it.",
            "Every trial of the search; the line is the best so far. Right: the highest of many "
            "scores is partly luck, so its settings were trained again with fresh seeds.",
        ),
        "costs": embed(
            plot_costs(step),
            f"{score} of the trials against parameters, training time and prediction time, with "
            "the trials that no cheaper one beats.",
            "What a good score costs. A trial on the line is beaten by none that costs less.",
        ),
        **picture_model(step, classes),
    }


def _list_scores(step: SearchStep) -> dict[int, Estimate]:
    scores = {trial.number: trial.val_score for trial in step.trials}
    return {number: score for number, score in sorted(scores.items()) if score is not None}


@canvas.calm_style()
def plot_trials(step: SearchStep) -> canvas.Figure:
    """Draw the score by trial with the best so far, and what fresh seeds make of the winner."""
    figure = canvas.open_figure(9.0, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    points = {number: (number, score.value) for number, score in _list_scores(step).items()}
    canvas.dress_axes(left)
    numbers, values = zip(*points.values(), strict=True)
    climb = [max(values[: i + 1]) for i in range(len(values))]
    left.step(numbers, climb, where="post", color=canvas.INK, linewidth=1.4, label="best so far")
    left.plot(numbers, values, "o", color=canvas.BLUE, markersize=6, alpha=0.85, linewidth=0,
              label="trial")  # fmt: skip
    failed = [trial.number for trial in step.trials if trial.number not in points]
    left.margins(y=0.1)
    if failed:
        left.plot(failed, [0.025] * len(failed), "x", color=canvas.VERMILION, markersize=7,
                  markeredgewidth=1.8, label="failed or stopped",
                  transform=left.get_xaxis_transform())  # fmt: skip
    canvas.count_epochs(left, "trial")
    best, label = points[step.best_trial], f"best: trial {step.best_trial}"
    canvas.draw_dot(left, *best, canvas.VERMILION, 10, label)
    canvas.show_percent(left, "y")
    left.set_title(f"{wording.title_score(step.run.metric, step.run.chosen_on)}, trial by trial")
    if step.confirmation is None:
        canvas.say_nothing(right, "the winner was not trained again")
    else:
        _draw_confirmation(right, step.confirmation, step.run.chosen_on)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_confirmation(axes: canvas.Axes, found: Confirmation, split: str) -> None:
    """Draw the search's score beside what fresh seeds make of the same settings."""
    canvas.dress_axes(axes)
    canvas.draw_estimates(axes, [0], [found.score], canvas.VERMILION)
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
    scores = _list_scores(step)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, cost in zip(panels, COSTS, strict=True):
        _draw_cost(canvas.dress_axes(axes), step, scores, cost)
    canvas.show_percent(panels[0], "y")
    panels[0].set_title(
        f"{wording.title_score(step.run.metric, step.run.chosen_on)}, against what it costs"
    )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_cost(
    axes: canvas.Axes, step: SearchStep, scores: dict[int, Estimate], cost: Cost
) -> None:
    name, factor = AXES[cost]
    points = {
        trial.number: (max(factor * getattr(trial, cost), 1e-9), scores[trial.number].value)
        for trial in step.trials
        if trial.number in scores
    }
    axes.plot(*zip(*points.values(), strict=True), "o", color=canvas.BLUE, markersize=6, alpha=0.85,
              linewidth=0, label="trial")  # fmt: skip
    front = [points[number] for number in step.frontier.get(cost, ()) if number in points]
    if front:
        axes.step(*zip(*front, strict=True), where="post", color=canvas.INK, linewidth=1.3,
                  label="frontier: none cheaper is better")  # fmt: skip
    best, label = points[step.best_trial], f"best: trial {step.best_trial}"
    canvas.draw_dot(axes, *best, canvas.VERMILION, 10, label)
    axes.set_xlabel(f"{name} (log scale)")
    _scale_costs(axes, [x for x, _ in points.values()])


def _scale_costs(axes: canvas.Axes, values: list[float]) -> None:
    """Give a logarithmic axis few labels, plain numbers, and air on both sides."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.margins(x=0.08)
    span = max(values) / min(values)
    subs = (1.0,) if span > 60 else (1.0, 3.0) if span > 8 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: canvas.say_amount(value)))
    axes.xaxis.set_minor_locator(NullLocator())


SEARCH = Section(
    title="Search",
    question="How good does the best network trained from scratch get?",
    answer=answer,
    pictures=pictures,
    plots={"trials": plot_trials, "costs": plot_costs},
    template="search.html",
)
