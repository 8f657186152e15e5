"""Model: which one is handed over, how sure its answers are, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tellapart.records import HandoverStep, Mistakes
from tellapart.report import canvas
from tellapart.report.photos import embed_picture, open_sheet
from tellapart.report.sections.section import Section


def answer(step: HandoverStep, classes: Sequence[str]) -> str:
    """Say which model it is, whether its probabilities can be believed, and what it can promise."""
    return " ".join(
        part
        for part in (
            f"{step.model[:1].upper()}{step.model[1:]} is in the folder model: tellapart predict "
            "classifies new images with it.",
            say_calibration(step),
            say_promise(step),
            say_mistakes(step.mistakes),
        )
        if part
    )


def say_calibration(step: HandoverStep) -> str:
    """Say how much confidence and accuracy differ on test, before and after calibration."""
    if step.optimistic:
        return "Its probabilities are not calibrated, for it was trained on val."
    before, after = (
        f"{100 * one.value:.1f} points ({100 * one.low:.1f} to {100 * one.high:.1f})"
        for one in (step.ece_before, step.ece_after)
    )
    return (
        f"On test its confidence differs from its accuracy by {before}, and by {after} once its "
        "probabilities are calibrated on val."
    )


def say_promise(step: HandoverStep) -> str:
    """Say what share of images is answered where few answers may be wrong."""
    kept = [one for one in step.promises if one.threshold is not None]
    if not step.promises:
        return "Its test images chose its epoch, or are too few, so that no error can be promised."
    if not kept:
        total = step.surest[-1].count
        return (
            f"No error of {100 * step.promises[-1].error:g} % or less can be promised: its surest "
            f"answers are wrong too often for that, or {total:,} test images are too few."
        )
    first = next((one for one in kept if one.answered >= 0.5), kept[-1])
    if first.answered == 1:
        return f"At most {100 * first.error:g} % of its answers are wrong, with 95 % certainty."
    return (
        f"If it may say “I don't know”, it answers {100 * first.answered:.0f} % of such images, of "
        f"which at most {100 * first.error:g} % are wrong, with 95 % certainty."
    )


def say_mistakes(found: Mistakes | None) -> str:
    """Say how many test images it gets wrong, and what it takes most often for what."""
    if found is None or not found.of:
        return ""
    if not found.count:
        return f"It gets none of the {found.of:,} test images wrong."
    most = found.confused[0]
    return (
        f"It gets {found.count:,} of {found.of:,} test images wrong; most often it takes "
        f"{most.true} for {most.called} ({most.count:,} of {most.of:,})."
    )


def picture_mistakes(step: HandoverStep, classes: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the sheet of the surest mistakes, and each image of the classes that are confused."""
    found, pictures = step.mistakes, {}
    if found is None:
        return {}
    sheet = open_sheet(folder, f"{step.step}/mistakes.png")
    if sheet is not None:
        pictures["mistakes"] = embed_picture(sheet)
    sheet = open_sheet(folder, f"{step.step}/confused.png")
    if sheet is not None and found.confused:
        side = sheet.height // len(found.confused)
        for line, pair in enumerate(found.confused, 1):
            for column in range(len(pair.files)):
                box = (column * side, (line - 1) * side, (column + 1) * side, line * side)
                pictures[f"{line} {column + 1}"] = embed_picture(sheet.crop(box), 75)
    return pictures


@canvas.calm_style()
def plot_risk(step: HandoverStep) -> canvas.Figure:
    """Draw the share of wrong answers against the share of images that is answered."""
    figure = canvas.open_figure(9.0, 3.6)
    axes = canvas.dress_axes(figure.add_subplot(), "both")
    if step.surest:
        total = step.surest[-1].count
        shares = [row.count / total for row in step.surest]
        wrong = [row.wrong / row.count for row in step.surest]
        axes.plot(shares, wrong, color=canvas.BLUE, linewidth=2.0, label="wrong among the answered")
        kept = [one for one in step.promises if one.threshold is not None]
        if kept:
            axes.plot([one.answered for one in kept], [one.error for one in kept], "D",
                      color=canvas.VERMILION, markersize=7, zorder=3,
                      label="promised at most, with 95 % certainty")  # fmt: skip
        axes.set_ylim(0, max(0.02, 1.15 * max([*wrong, *(one.error for one in kept)])))
    axes.set_xlim(0, 1.02)
    canvas.show_percent(axes, "x")
    canvas.show_percent(axes, "y")
    axes.set_title("Wrong answers, if the least sure images are not answered")
    axes.set_xlabel("share of the test images that is answered, the surest first")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


HANDOVER = Section(
    title="Model",
    question="Which model is handed over, and what does it get wrong?",
    answer=answer,
    pictures=picture_mistakes,
    plots={"risk": plot_risk},
    template="handover.html",
)
