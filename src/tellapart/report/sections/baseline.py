"""Baseline: what one network makes of the images."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.records import BaselineStep
from tellapart.report import wording
from tellapart.report.sections import model
from tellapart.report.sections.section import Section


def answer(step: BaselineStep, classes: Sequence[str]) -> str:
    """Say how far the network gets, whether it overfits, and which class is hardest."""
    run, test = step.run, step.test
    network, floor = model.say_network(run), model.say_floor(test)
    return (
        f"{network[:1].upper()}{network[1:]} ({step.parameters:,} parameters) gets "
        f"{wording.say_score(test.metric, test.score)}, with its best epoch at {run.best_epoch} of "
        f"{len(run.history)}. {model.say_fit(run, floor)} {model.say_confusion(test, classes)}"
        f"{model.say_optimism(step)}"
    )


BASELINE = Section(
    title="Baseline",
    question="What does one network, trained from scratch, make of them?",
    answer=answer,
    pictures=model.picture_model,
    template="baseline.html",
)
