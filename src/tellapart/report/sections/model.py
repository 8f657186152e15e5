"""What every step that ends in a tested model says and shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tellapart.records import ModelStep, RunRecord, TestRecord
from tellapart.report import canvas, wording
from tellapart.report.plots import (
    COUNTS,
    NAMED,
    SHARES,
    plot_class_scores,
    plot_confusion,
    plot_curves,
)

OVERFIT = 0.05  # accuracy in training over that on val, at the last epoch
EXPLODED = (
    20.0  # loss (nats) from which nothing was learnt: to know nothing of 1,000 classes costs 7
)


def picture_model(
    step: ModelStep, classes: Sequence[str], folder: Path, counts: bool = True
) -> dict[str, str]:
    """Return the pictures of a step's model; ``counts``: the confusion in numbers of images too."""
    run, confusion = step.run, step.test.confusion
    draw = partial(plot_confusion, classes, confusion)
    found = {
        "curves": canvas.embed_figure(lambda: plot_curves(run), folder, f"{run.folder}/results"),
        "confusion_shares": canvas.embed_figure(
            partial(draw, True), folder, f"{run.folder}/{SHARES}"
        ),
        "scores": canvas.embed_figure(lambda: plot_class_scores(step.test)),
    }
    if counts and len(classes) <= NAMED:
        found["confusion_counts"] = canvas.embed_figure(
            partial(draw, False), folder, f"{run.folder}/{COUNTS}"
        )
    return found


def say_network(run: RunRecord) -> str:
    """Say what a network is made of, and how its images were augmented."""
    augment = run.settings.get("augment", "none")
    return run.description + ("" if augment == "none" else f", {augment} augmentation")


def say_limits(step: ModelStep) -> str:
    """Say what the number does not show: that nothing was learnt, or that it is optimistic."""
    return f" {say_floor(step.test)}".rstrip() + say_optimism(step)


def say_optimism(step: ModelStep) -> str:
    """Say that the epoch was chosen on the test images; nothing where it was not."""
    if step.honest_score is None:
        return ""
    return (
        " This figure is optimistic: the best epoch was chosen on these same test images "
        "(protocol notebook). The last epoch of the same training, which nothing chose, gets "
        f"{wording.say_percent(step.honest_score.value)}."
    )


def say_floor(test: TestRecord) -> str:
    """Say that a model is no better than one answer for all images; nothing where it is better."""
    share = test.floor["accuracy"].value
    # other scores than accuracy do not reward the commonest answer
    if test.metric != "accuracy" or test.score.value > share:
        return ""
    return (
        f"That is no better than always answering '{test.commonest}', which is right on "
        f"{100 * share:.1f} %, so it does not show that the classes can be told apart."
    )


def say_fit(run: RunRecord, floor: str) -> str:
    """Say what the curves show, or ``floor`` instead: that nothing was learnt."""
    last = run.history[-1]
    if not last.val_loss < EXPLODED:
        return (
            f"Its loss on {run.chosen_on} ends at {last.val_loss:.2g}: the training went wrong; "
            "a smaller --lr helps."
        )
    if floor:
        return floor
    gap, augment = last.accuracy - last.val_accuracy, str(run.settings.get("augment", "none"))
    if gap > max(OVERFIT, run.val_accuracy.high - run.val_accuracy.value):
        more = " or augmentation (tellapart train --augment standard)"
        return (
            f"It ends {100 * gap:.0f} points better on its training images than on "
            f"{run.chosen_on} images: it overfits. What helps is more images"
            f"{more if augment == 'none' else ''}."
        )
    if run.best_epoch == len(run.history):
        return "Its best epoch is the last: a longer training may do better."
    if {"mixup", "cutmix"} & set(augment.split("+")):
        return "Its training images were mixed, so their accuracy cannot show whether it overfits."
    return "Training and validation accuracy stay close: it does not overfit."


def say_confusion(test: TestRecord, classes: Sequence[str]) -> str:
    """Name the class that stands out as hardest, and what it is taken for, if one does."""
    called = [name for name, *counts in zip(classes, *test.confusion, strict=True) if any(counts)]
    if len(called) == 1:
        return f"It calls every test image {called[0]}."
    if test.hardest is None:
        return "No class stands out as harder than the others, beyond chance."
    found = test.hardest
    most = f", most often taken for {found.taken_for}" if found.taken_for else ""
    return f"Hardest is {found.name} ({100 * found.recall.value:.0f} % found){most}."
