"""The pictures of the page: drawn from records, carried inside the page, described in words."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tellapart.records import (
    BaselineStep,
    GridRecord,
    InspectStep,
    LearningRecord,
    ModelStep,
    SearchStep,
    StepRecord,
    StudyRecord,
    SweepStep,
    TransferStep,
)
from tellapart.report.canvas import render_svg
from tellapart.report.matrices import NAMED
from tellapart.report.plots import (
    plot_backbones,
    plot_class_scores,
    plot_confusion,
    plot_costs,
    plot_counts,
    plot_curves,
    plot_grid,
    plot_learning,
    plot_steps,
    plot_sweep_curves,
    plot_sweep_sizes,
    plot_trials,
)
from tellapart.report.wording import TITLES, say_estimate, say_percent, say_scalar, say_setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One image of the page: its data URI, what it shows in words, and its caption."""

    uri: str
    alt: str
    caption: str
    narrow: bool = False


def picture_study(record: StudyRecord) -> Picture | None:
    """Return the headline picture, or none where no model was tested."""
    models = [(name, s) for name, s in record.steps.items() if isinstance(s, ModelStep)]
    if not models:
        return None
    said = "; ".join(f"{TITLES[name]} {say_estimate(s.test_accuracy)}" for name, s in models)
    caption = "Test accuracy of each step's model. The bar is the 95 % interval."
    if any(step.test.optimistic for _, step in models):
        caption += " Hollow dots are optimistic numbers."
    return _embed(plot_steps(record), f"Test accuracy by step: {said}.", caption)


def picture_learning(record: LearningRecord) -> Picture:
    """Return the picture of accuracy against the number of training images."""
    said = "; ".join(f"{p.images:,}: {say_percent(p.accuracy.value)}" for p in record.points)
    return _embed(
        plot_learning(record),
        f"Accuracy on val against the number of training images: {said}.",
        f"{record.model}, trained on growing shares of the images, class by class.",
    )


def picture_grid(record: GridRecord) -> Picture:
    """Return the picture of settings that varied."""
    names = " and ".join(say_setting(name) for name in record.settings)
    said = "; ".join(
        f"{', '.join(say_scalar(value) for value in level.values.values())}: "
        f"{say_percent(level.figures.val_accuracy.value)}"
        for level in record.levels
    )
    return _embed(
        plot_grid(record),
        f"Accuracy on val by {names}: {said}.",
        f"{record.model}: mean accuracy on val by {names}.",
    )


def picture_step(step: StepRecord, classes: Sequence[str], folder: Path) -> dict[str, Picture]:
    """Return a step's pictures by name.

    Args:
        step: the record of the step.
        classes: class names in the order of the confusion matrix.
        folder: the study's folder, which the path of the sample grid is relative to.
    """
    if isinstance(step, InspectStep):
        return _picture_data(step, folder)
    pictures: dict[str, Picture] = {}
    if isinstance(step, SweepStep):
        pictures |= _picture_sweep(step)
    if isinstance(step, SearchStep):
        pictures["trials"] = _embed(
            plot_trials(step),
            f"Accuracy of {len(step.trials)} trials in order; the best is trial "
            f"{step.best_trial}. Beside it the winner's score and what fresh seeds make of it.",
            "Every trial of the search; the line is the best so far. Right: the highest of many "
            "scores is partly luck, so its settings were trained again with fresh seeds.",
        )
        pictures["costs"] = _embed(
            plot_costs(step),
            "Accuracy of the trials against parameters, training time and prediction time, with "
            "the trials that no cheaper one beats.",
            "What accuracy costs. A trial on the line is beaten by none that costs less.",
        )
    if isinstance(step, TransferStep):
        said = "; ".join(f"{row.name} {say_estimate(row.val_accuracy)}" for row in step.backbones)
        pictures["backbones"] = _embed(
            plot_backbones(step),
            f"Accuracy of each backbone: {said}.",
            "What each backbone gives, and what it costs to compute its features once.",
        )
    if isinstance(step, ModelStep):
        pictures |= _picture_model(step, classes)
    return pictures


def _picture_data(step: InspectStep, folder: Path) -> dict[str, Picture]:
    pictures = {
        "counts": _embed(
            plot_counts(step.data),
            f"Images per class and split, {len(step.data.classes)} classes; the table has each.",
            "Images per class in each split.",
        )
    }
    if (content := read_samples(folder, step.samples)) is not None:
        pictures["samples"] = Picture(
            uri=f"data:image/webp;base64,{base64.b64encode(content).decode()}",
            alt="A grid of sample images, with the name of each class before its own.",
            caption="Sample images by class.",
        )
    return pictures


def read_samples(folder: Path, samples: str) -> bytes | None:
    """Return the sample grid as WebP, a fifth of its bytes.

    None where it is missing, no PNG, or outside of the folder.
    """
    path = (folder / samples).resolve()
    if not samples or not path.is_relative_to(folder.resolve()):
        return None
    stream = io.BytesIO()
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.save(stream, "WEBP", quality=85)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return stream.getvalue()


def _picture_sweep(step: SweepStep) -> dict[str, Picture]:
    said = "; ".join(f"{row.size}: {say_percent(row.val_accuracy.value)}" for row in step.sizes)
    split = step.run.chosen_on
    return {
        "sweep_sizes": _embed(
            plot_sweep_sizes(step),
            f"Accuracy on {split} against {say_setting(step.setting)}: {said}.",
            f"Accuracy on {split} against {say_setting(step.setting)}: each open dot is one seed. "
            "Beside it, what a size costs.",
        ),
        "sweep_curves": _embed(
            plot_sweep_curves(step),
            f"Learning curves of {len(step.sizes)} sizes of {say_setting(step.setting)}.",
            "Learning curves of all sizes. Where train climbs on and the solid line does not, "
            "the network learns its images by heart.",
        ),
    }


def _picture_model(step: ModelStep, classes: Sequence[str]) -> dict[str, Picture]:
    run, said = step.run, say_estimate(step.test_accuracy)
    pictures = {
        "curves": _embed(
            plot_curves(run, ""),
            f"Accuracy and loss of {step.model} over {len(run.history)} epochs, on train and "
            f"{run.chosen_on}; best epoch {run.best_epoch}.",
            f"Learning curves of {step.model}. The dashed line is the epoch whose weights were "
            f"kept: the best one on {run.chosen_on}.",
        ),
        "confusion_shares": _embed(
            plot_confusion(classes, step.test.confusion, normalized=True),
            f"Confusion matrix in per cent of each true class; overall {said}. "
            "The table of classes has the recall of each.",
            "Of the images of each true class (row), how many in a hundred were called what.",
            narrow=True,
        ),
    }
    if isinstance(step, BaselineStep | SearchStep | TransferStep) and len(classes) <= NAMED:
        pictures["confusion_counts"] = _embed(
            plot_confusion(classes, step.test.confusion, normalized=False),
            f"Confusion matrix in numbers of images, {step.test_accuracy.n} in all.",
            "The same as numbers of images.",
            narrow=True,
        )
    pictures["scores"] = _embed(
        plot_class_scores(step.test),
        "Recall of each class with its interval, best first; the table has more.",
        "How much of each class was found. The orange line is the accuracy over all classes.",
    )
    return pictures


def _embed(figure: Figure, alt: str, caption: str, narrow: bool = False) -> Picture:
    content = base64.b64encode(render_svg(figure, adaptive=True)).decode()
    return Picture(f"data:image/svg+xml;base64,{content}", alt, caption, narrow)
