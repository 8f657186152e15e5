"""Inspect: what is in the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tellapart.records import ROLES, Finding, InspectStep
from tellapart.report import canvas, wording
from tellapart.report.photos import embed_picture, open_sheet
from tellapart.report.plots import LISTED
from tellapart.report.sections.section import Section

COLORS = {"train": canvas.BLUE, "val": canvas.GREEN, "test": canvas.ORANGE}


def answer(step: InspectStep, classes: Sequence[str]) -> str:
    """Say how many images there are for what, whether they are balanced, and what is wrong."""
    data = step.data
    train, val, test = (sum(data.counts[role].values()) for role in ROLES)
    parts = [
        f"{train + val + test:,} images in {len(classes)} classes: {train:,} to train on, "
        f"{val:,} to choose on (val), {test:,} kept for the test. {step.balance}"
    ]
    if step.groups and not any(one.name == "groups" for one in step.findings):
        parts.append(f"They come in {step.groups:,} groups, and no split divides one.")
    others = [one for one in step.findings if one.sentence != step.balance]
    parts += [one.sentence for one in others if one.severity == "grave"]
    if minor := [one for one in others if one.severity != "grave"]:
        listed = "; ".join(one.title.lower() for one in minor)
        parts.append(f"{'Also found' if len(minor) < len(others) else 'Found'}: {listed}.")
    if step.sampled < len(classes):
        parts.append(f"The samples show {step.sampled} of the {len(classes):,} classes.")
    return " ".join(parts)


def picture_samples(step: InspectStep, classes: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the sample grid, and the pictures of findings, if they are within the folder."""
    samples = _embed(folder, step.samples)
    return picture_findings(step.findings, folder) | ({"samples": samples} if samples else {})


def picture_findings(findings: Sequence[Finding], folder: Path) -> dict[str, str]:
    """Return the pictures of findings as WebP, which takes a fifth of a PNG's bytes."""
    found = {one.name: _embed(folder, one.picture) for one in findings if one.picture}
    return {name: picture for name, picture in found.items() if picture}


def _embed(folder: Path, file: str) -> str:
    sheet = open_sheet(folder, file)
    return "" if sheet is None else embed_picture(sheet)


@canvas.calm_style()
def plot_counts(step: InspectStep) -> canvas.Figure:
    """Draw the images per class, one panel a split; of many classes, in the order of their size."""
    data, count = step.data, len(step.data.classes)
    roles = [role for role in ROLES if data.counts.get(role)]
    listed = count <= LISTED
    figure = canvas.open_figure(9.0, 0.27 * max(count, 3) + 1.0 if listed else 3.2)
    panels = figure.subplots(1, len(roles), sharey=listed, squeeze=False)[0]
    for i, (axes, role) in enumerate(zip(panels, roles, strict=True)):
        numbers = [data.counts[role].get(name, 0) for name in data.classes]
        axes.set_title(f"{role}: {sum(numbers):,}", fontsize=10.5)
        if listed:
            canvas.dress_axes(axes, None)
            bars = axes.barh(range(count), numbers, color=COLORS[role], height=0.66)
            axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=9, color=canvas.INK)
            axes.set_yticks(range(count), wording.label_classes(data.classes), color=canvas.INK)
            axes.set(xticks=[], xlim=(0, max([*numbers, 1]) * 1.28), ylim=(count - 0.4, -0.6))
            axes.tick_params(labelleft=i == 0)
        else:
            canvas.dress_axes(axes)
            axes.fill_between(range(1, count + 1), sorted(numbers, reverse=True), step="mid",
                              color=COLORS[role], linewidth=0)  # fmt: skip
            axes.set_ylim(bottom=0)
            axes.set_xlabel("classes, largest first")
    return figure


INSPECT = Section(
    title="Inspect",
    question="What is in the data, and is anything wrong with them?",
    answer=answer,
    pictures=picture_samples,
    plots={"class_counts": plot_counts},
    template="inspect.html",
)
