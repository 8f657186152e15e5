"""Labels: which look wrong."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.records import LabelsStep
from tellapart.report import wording
from tellapart.report.sections.inspect import picture_findings
from tellapart.report.sections.section import Section


def answer(step: LabelsStep, classes: Sequence[str]) -> str:
    """Say how many labels look wrong and images strange, and about how much features allow."""
    if not step.images:
        return f"Nothing could be looked for: {'; '.join(step.unchecked)}."
    parts = [one.sentence for one in step.findings]
    if not any(one.name == "labels" for one in step.findings):
        parts.insert(0, f"None of {step.images:,} labels looks wrong.")
    if step.bound is not None:
        parts.append(
            f"Judging by nearest neighbours, features of {step.backbone} at {step.image_size} px "
            f"or small pixels allow about {wording.say_estimate(step.bound)} at most; a network "
            "that learns its own may do better."
        )
    return " ".join(parts)


LABELS = Section(
    title="Labels",
    question="Which labels look wrong?",
    answer=answer,
    pictures=lambda step, classes, folder: picture_findings(step.findings, folder),
    template="labels.html",
)
