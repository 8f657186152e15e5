"""The answers in words, made from the numbers of a step."""

from __future__ import annotations

from tellapart.config import list_operations
from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import (
    BackboneRecord,
    Confirmation,
    ModelStep,
    RunRecord,
    SizeRecord,
    TestRecord,
    TrialRecord,
    TunedRecord,
    Verdict,
)
from tellapart.report.wording import say_estimate

OVERFIT = 0.05
"""Gap between accuracy in training and on val, at the last epoch, that is called overfitting."""

EXPLODED = 20.0
"""Loss (nats) from which nothing was learnt: to know nothing of 1,000 classes costs 7."""


def answer_baseline(run: RunRecord, test: TestRecord, classes: tuple[str, ...]) -> str:
    """Answer step 2: how far a simple network gets."""
    return " ".join(
        (
            f"{describe_network(run).capitalize()} ({run.parameters:,} parameters) gets "
            f"{say_estimate(test.accuracy)} of the test images right, with its best epoch at "
            f"{run.best_epoch} of {len(run.history)}.",
            describe_fit(run, say_floor(test)),
            describe_confusion(test, classes),
        )
    ) + say_optimism(run)


def answer_sweep(
    setting: str,
    verdict: Verdict,
    run: RunRecord,
    test: TestRecord,
    sizes: tuple[SizeRecord, ...],
) -> str:
    """Answer steps 3 and 4: whether there is an ideal size."""
    taken = next(size for size in sizes if size.size == verdict.size)
    counts = sorted({len(size.seeds) for size in sizes})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    failed = sum(size.failed for size in sizes)
    return (
        f"{verdict.sentence} The network with {setting} {verdict.size} gets "
        f"{say_estimate(test.accuracy)} of the test images right "
        f"({seeds} seed{'' if seeds == '1' else 's'} a size, {taken.seconds:.0f} s a training)."
        + (f" Not counted are trainings that failed: {failed}." if failed else "")
    ) + _say_limits(run, test)


def answer_search(
    trials: tuple[TrialRecord, ...],
    confirmation: Confirmation | None,
    run: RunRecord,
    test: TestRecord,
) -> str:
    """Answer step 5: the best network from scratch, and how much of its score was luck."""
    tried = f"The best of {len(trials)} networks tried" if len(trials) > 1 else "The network tried"
    gone = {status: sum(t.status == status for t in trials) for status in ("failed", "stopped")}
    counts = ", ".join(
        f"{count} {'failed' if status == 'failed' else 'stopped early as hopeless'}"
        for status, count in gone.items()
        if count
    )
    parts = [
        f"{tried} is {describe_network(run)}; trained for {len(run.history)} epochs it gets "
        f"{say_estimate(test.accuracy)} of the test images right"
        + (
            f" ({counts})."
            if counts
            else "."
            if len(trials) > 1
            else " (the reference study's own)."
        )
    ]
    if confirmation is not None:
        parts.append(say_confirmation(confirmation, run.chosen_on))
    return " ".join(parts) + _say_limits(run, test)


def say_confirmation(found: Confirmation, split: str) -> str:
    """Say how much of the best trial's score fresh seeds leave."""
    seeds = len(found.seeds)
    own = f"{seeds} fresh seed{'s' if seeds > 1 else ''}"
    start = (
        f"The search's score, {100 * found.score.value:.1f} % of {split}, was the highest of its "
        f"trials; with {own} the same training gets {say_estimate(found.accuracy)}"
    )
    if found.luck > 0:
        return f"{start}: {100 * found.luck:.1f} points of the score were luck."
    return f"{start}: no luck in that score."


def answer_transfer(
    models: tuple[BackboneRecord, TunedRecord | None],
    others: int,
    tests: tuple[TestRecord, TestRecord],
    scratch: ModelStep | None,
) -> str:
    """Answer step 6: what a pretrained backbone adds.

    Args:
        models: the frozen backbone with its head, and what fine-tuning made of the two.
        tests: of the frozen head, and of the step's model.
    """
    (chosen, tuned), (test, final) = models, tests
    run = chosen.run
    answer = (
        f"A head of {chosen.head_parameters:,} parameters on the frozen backbone {chosen.name} "
        f"gets {say_estimate(test.accuracy)} of the test images right"
        + (f", chosen on val from {others + 1} backbones." if others else ".")
    )
    if tuned is not None:
        answer += (
            f" Fine-tuned ({say_depth(tuned.depth)}, {len(tuned.run.history)} epochs), the same "
            f"backbone gets {say_estimate(tuned.accuracy)}. {tuned.comparison.sentence}"
        )
    if scratch is not None:
        gain = 100 * (final.accuracy.value - scratch.test_accuracy.value)
        what = "That" if tuned is None else "The better of the two on val"
        where = "above" if gain >= 0 else "below"
        answer += (
            f" {what} is {abs(gain):.1f} points {where} the best network "
            "trained from scratch; the comparisons say whether chance explains it."
        )
    return answer + _say_limits(run, final)


def _say_limits(run: RunRecord, test: TestRecord) -> str:
    floor = say_floor(test)
    return (f" {floor}" if floor else "") + say_optimism(run)


def say_depth(depth: str) -> str:
    """Say how much of a backbone was trained."""
    return "its last layers" if depth == "last" else "all its layers"


def label_network(run: RunRecord) -> str:
    """Name a network in a table: the model, and the sizes that tell it from its kin."""
    return run.label


def describe_network(run: RunRecord) -> str:
    """Say what a network is made of, and how its images were augmented."""
    augment = run.settings["augment"]
    return run.description + ("" if augment == "none" else f", {augment} augmentation")


def say_optimism(run: RunRecord) -> str:
    """Say what choosing the epoch on the test images has added; nothing where it was not done.

    The last epoch is one that nothing chose, so its accuracy on the same images is honest; the best
    of all epochs is at least as high.
    """
    if run.chosen_on != "test":
        return ""
    last = run.history[-1].val_accuracy
    gap = 100 * (run.val_accuracy.value - last)
    return (
        " This figure is optimistic: the best epoch was chosen on these same test images "
        f"(protocol notebook). The last epoch of the same training, which nothing chose, gets "
        f"{100 * last:.1f} %"
        + (
            f", {gap:.1f} points less."
            if gap > 0.05
            else ", as much: this time nothing was gained."
        )
    )


def describe_fit(run: RunRecord, floor: str = "") -> str:
    """Say what the curves show: overfitting, or that more epochs might help.

    Args:
        floor: that nothing was learnt, which is said instead.
    """
    last = run.history[-1]
    gap = last.accuracy - last.val_accuracy
    if not last.val_loss < EXPLODED:
        return (
            f"Its loss on {run.chosen_on} ends at {last.val_loss:.2g}: the training went wrong; "
            "a smaller --lr helps."
        )
    if floor:
        return floor
    count = run.val_accuracy.n
    hits = round(last.val_accuracy * count)
    if gap > OVERFIT and last.accuracy > estimate_proportion(hits, count).high:
        augmented = run.settings["augment"] != "none"
        return (
            f"It ends {100 * gap:.0f} points better on its training images than on "
            f"{run.chosen_on} images: it overfits. What helps is more images, a smaller network"
            + ("." if augmented else ", or augmentation (tellapart train --augment standard).")
        )
    if run.best_epoch == len(run.history):
        return "A longer training might gain a little."
    if {"mixup", "cutmix"} & set(list_operations(str(run.settings["augment"]))):
        return "Its training images were mixed, so their accuracy cannot show whether it overfits."
    return "Training and validation accuracy stay close: it does not overfit."


def say_floor(test: TestRecord) -> str:
    """Say that a model is no better than one answer for all images; nothing where it is better."""
    supports = [score.support for score in test.per_class]
    share = max(supports) / sum(supports)
    if test.accuracy.value > share:
        return ""
    commonest = test.per_class[supports.index(max(supports))].name
    return (
        f"That is no better than always answering '{commonest}', which is right on "
        f"{100 * share:.1f} %, so it does not show that the classes can be told apart."
    )


def describe_confusion(test: TestRecord, classes: tuple[str, ...]) -> str:
    """Name the class with the lowest recall, and what it is most often taken for."""
    hardest = min(
        (score for score in test.per_class if score.support), key=lambda score: score.recall.value
    )
    called = [name for name, *counts in zip(classes, *test.confusion, strict=True) if any(counts)]
    if len(called) == 1:
        return f"It calls every test image {called[0]}."
    if hardest.recall.value == 1:
        return "No class is taken for another."
    index = classes.index(hardest.name)
    mistaken = [count if i != index else -1 for i, count in enumerate(test.confusion[index])]
    taken = max(mistaken)
    sentence = f"Hardest is {hardest.name} ({100 * hardest.recall.value:.0f} % found"
    if taken <= 0:
        return f"{sentence})."
    return f"{sentence}), most often taken for {classes[mistaken.index(taken)]}."
