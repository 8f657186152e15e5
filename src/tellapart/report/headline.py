"""The answer at the top of the report, said from the numbers alone, and its figure."""

from __future__ import annotations

from tellapart.records import ModelStep, StepRecord, StudyRecord, TestRecord
from tellapart.report import canvas, wording
from tellapart.report.sections import SECTIONS
from tellapart.report.sections.model import say_confusion

UNEQUAL = 2
"""From how many times the images of the smallest class on the largest is another matter."""


def list_steps(record: StudyRecord) -> dict[str, StepRecord]:
    """Return the steps that are done, in the order of the page."""
    return {name: record.steps[name] for name in SECTIONS if name in record.steps}


def list_models(record: StudyRecord) -> dict[str, ModelStep]:
    """Return the steps that end in a tested model."""
    return {n: step for n, step in list_steps(record).items() if isinstance(step, ModelStep)}


def find_best(record: StudyRecord) -> str | None:
    """Return the step whose model is best on the split that choices are made on."""
    models = list_models(record)
    return max(models, key=lambda name: models[name].val_score.value, default=None)


def is_optimistic(record: StudyRecord) -> bool:
    """Say whether any reported number was measured on images that a choice was made on."""
    models = list_models(record).values()
    return record.protocol == "notebook" or any(step.test.optimistic for step in models)


def is_unequal(test: TestRecord) -> bool:
    """Say whether the largest class has ``UNEQUAL`` times the test images of the smallest."""
    counts = [row.support for row in test.per_class if row.support]
    return max(counts) >= UNEQUAL * min(counts)


def state_headline(record: StudyRecord) -> tuple[str, tuple[str, ...]]:
    """Say how well the classes can be told apart in a sentence, and others put it in proportion.

    The model is the best on the split that choices are made on, never the best on test.
    """
    best, models, steps = find_best(record), list_models(record), list_steps(record)
    if best is None:
        total = sum(sum(counts.values()) for counts in record.data.counts.values())
        classes = wording.say_count(len(record.data.classes), "class", "classes")
        found = f"{total:,} images of {classes}"
        if not steps:
            return f"There are {found}; no step of this study is done yet.", ()
        return list(steps.values())[-1].answer, (f"{found}; no model was tested.",)
    step = models[best]
    metric, floor = step.test.metric, step.test.floor["accuracy"].value
    if metric == "accuracy" and is_unequal(step.test):
        metric = "balanced_accuracy"
    score = step.test.scores[metric]
    figure = "is right on {} of" if metric == "accuracy" else "has a {metric} of {} on"
    figure = figure.format(wording.say_percent(score.value), metric=wording.say_metric(metric))
    unseen = "" if step.test.optimistic else " that no choice was made on"
    answer = (
        f"The {'best ' if len(models) > 1 else ''}model, from {SECTIONS[best].title.lower()}, "
        f"{figure} {score.n:,} test images{unseen} (95 % interval {100 * score.low:.1f} to "
        f"{100 * score.high:.1f} %)."
    )
    right = ""
    if metric != step.test.metric:
        answer += " That is the mean over the classes of what is found of each: they are unequal."
        right = f"It is right on {wording.say_percent(step.test.score.value)} of all test images. "
    if step.test.twins:
        twins = wording.say_count(step.test.twins, "of them has", "of them have")
        answer += f" {twins} a copy in train, or another of their group"
        if step.test.without_twins is not None:
            answer += f"; on the others it is {wording.say_estimate(step.test.without_twins)}"
        answer += "."
    if step.test.optimistic:
        answer += " Its best epoch was chosen on these same images, so this is optimistic."
    learned, common = record.data.counts["train"], step.test.commonest
    equal = list(learned.values()).count(learned[common]) > 1
    one = f"the same, as “{common}”," if equal else f"“{common}”, the commonest class,"
    always = f"{right}Always answering {one} would be right on "
    beside = (f"{always}{wording.say_percent(floor)}.",) if step.test.metric == "accuracy" else ()
    return answer, (*say_group(record), *beside, say_confusion(step.test, record.data.classes))


def say_group(record: StudyRecord) -> tuple[str, ...]:
    """Say which models cannot be told from the best, and which of them is the cheapest."""
    found = record.models
    if found is None or len(found.group) < 2:
        return ()
    others = [SECTIONS[name].title.lower() for name in found.group if name != found.best]
    listed = " and ".join([", ".join(others[:-1]), others[-1]] if others[1:] else others)
    size = f"{found.parameters[found.cheapest]:,} parameters"
    split = list_models(record)[found.best].run.chosen_on
    what = f"that from {SECTIONS[found.cheapest].title.lower()}, with {size}"
    if found.cheapest == found.best:
        what = f"the best itself, with {size}"
    verb = "models from" if others[1:] else "model from"
    return (
        f"On {split} it cannot be told from the {verb} {listed}; the smallest of them is {what}.",
    )


@canvas.calm_style()
def plot_steps(models: dict[str, ModelStep]) -> canvas.Figure:
    """Draw the test score of each step's model with its 95 % interval."""
    figure = canvas.open_figure(9.0, 0.55 * max(len(models), 2) + 1.15)
    axes = canvas.dress_axes(figure.add_subplot(), "x")
    beside = axes.get_yaxis_transform()
    scores = [step.test_score for step in models.values()]
    for y, (step, score) in enumerate(zip(models.values(), scores, strict=True)):
        canvas.draw_span(axes, y, score, 11, hollow=step.test.optimistic)
        axes.text(1.02, y - 0.16, wording.say_percent(score.value), transform=beside, va="center",
                  fontsize=11, fontweight="bold", color=canvas.INK)  # fmt: skip
        axes.text(1.02, y + 0.2, f"{100 * score.low:.1f} to {100 * score.high:.1f}",
                  transform=beside, va="center", fontsize=8.5, color=canvas.MUTED)  # fmt: skip
    titles = [SECTIONS[name].title for name in models]
    axes.set_yticks(range(len(titles)), titles, fontsize=11, color=canvas.INK)
    axes.set_ylim(len(titles) - 0.4, -0.6)
    low, high = min(score.low for score in scores), max(score.high for score in scores)
    room = 0.12 * (high - low) + 0.01
    axes.set_xlim(max(low - room, 0.0), min(high + room, 1.0))
    canvas.show_percent(axes, "x")
    tests = [step.test for step in models.values()]
    said = f"{wording.say_metric(tests[0].metric)} on {scores[0].n:,} test images"
    note = ", optimistic" if any(test.optimistic for test in tests) else ""
    axes.set_xlabel(f"{said}, with its 95 % interval{note}")
    return figure
