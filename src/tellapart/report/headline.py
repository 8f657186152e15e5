"""The answer at the top of the report, said from the numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

from tellapart.records import STEPS, ModelStep, StepName, StudyRecord
from tellapart.report.wording import TITLES, say_estimate, say_percent


@dataclass(frozen=True)
class Headline:
    """``answer`` is the one sentence; ``details`` put it in proportion."""

    answer: str
    details: tuple[str, ...]


def state_headline(record: StudyRecord) -> Headline:
    """Say how well the classes are told apart, by which model, and against what.

    The model is the one with the best accuracy on the split that choices are made on, never
    the one with the best test accuracy. With no model, the data is described.
    """
    count = len(record.data.classes)
    best = find_best(record)
    if best is None and record.grid is not None:
        return Headline(record.grid.verdict.sentence, (f"Asked of {record.grid.model}, on val.",))
    if best is None and record.learning is not None:
        return Headline(record.learning.sentence, (f"Asked of {record.learning.model}.",))
    if best is None:
        total = sum(sum(counts.values()) for counts in record.data.counts.values())
        return Headline(
            f"No model was trained in this study; it looked at {total:,} images "
            f"of {count} classes.",
            (),
        )
    name, step = best
    score = step.test_accuracy
    models = sum(isinstance(other, ModelStep) for other in record.steps.values())
    span = f"{100 * score.low:.1f} to {100 * score.high:.1f} %"
    unseen = "" if step.test.optimistic else " that no choice was made on"
    answer = (
        f"The {'best ' if models > 1 else ''}model, from {TITLES[name].lower()}, is right on "
        f"{say_percent(score.value)} "
        f"of {score.n:,} test images{unseen} (95 % interval {span})."
    )
    if step.test.optimistic:
        answer += " Its best epoch was chosen on these same images, so this is optimistic."
    details = (*_say_floor(record), *_say_classes(record, step))
    return Headline(_bind(answer), tuple(_bind(line) for line in details))


def find_best(record: StudyRecord) -> tuple[StepName, ModelStep] | None:
    """Return the step whose model is best on the split that choices are made on."""
    models = [
        (name, step) for name in STEPS if isinstance(step := record.steps.get(name), ModelStep)
    ]
    return max(models, key=lambda pair: pair[1].val_accuracy.value, default=None)


def _bind(text: str) -> str:
    """Keep a number and its % on one line, with a no-break space."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _say_floor(record: StudyRecord) -> tuple[str, ...]:
    """Say what no looking at all would score."""
    test, train = record.data.counts.get("test", {}), record.data.counts.get("train", {})
    if not test or not sum(test.values()) or not train:
        return ()
    commonest = max(record.data.classes, key=lambda name: train.get(name, 0))
    share = test.get(commonest, 0) / sum(test.values())
    always = f"Always answering “{commonest}”, the commonest class in train"
    return (f"{always}, would be right on {say_percent(share)}.",)


def _say_classes(record: StudyRecord, step: ModelStep) -> tuple[str, ...]:
    """Name the easiest and hardest class, and the commonest mistake."""
    said = []
    rows = [row for row in step.test.per_class if row.support]
    rows.sort(key=lambda row: row.recall.value)
    if len(rows) > 1:
        easy, hard = rows[-1], rows[0]
        said.append(
            f"Easiest class: {easy.name}, {say_estimate(easy.recall)} found. "
            f"Hardest: {hard.name}, {say_estimate(hard.recall)} found."
        )
    names = record.data.classes
    mistakes = [
        (cell, sum(row), i, j)
        for i, row in enumerate(step.test.confusion)
        for j, cell in enumerate(row)
        if i != j and cell
    ]
    if mistakes and len(names) == len(step.test.confusion):
        cell, of, i, j = max(mistakes, key=lambda found: (found[0] / found[1], found[1]))
        said.append(
            f"Commonest mistake: {names[i]} taken for {names[j]}, {cell:,} of {of:,} images."
        )
    return tuple(said)
