"""Step 1: look at the data before training on them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tellapart.data.dataset import Dataset, Indices, count_labels
from tellapart.data.split import Split, count_leaks
from tellapart.records import DataRecord, InspectStep
from tellapart.workspace import write_bytes

SAMPLES = 8
"""Images of each class in the grid."""

MATTERS = 1.5
"""Ratio of the largest to the smallest class from which balance is worth a word."""


def describe_data(dataset: Dataset, split: Split) -> DataRecord:
    """Return what a dataset is, with counts per class of each part of the split."""
    return DataRecord(
        name=dataset.name,
        origin=dataset.origin,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        counts={
            "train": count_labels(dataset.labels[split.train], dataset.classes),
            "val": count_labels(dataset.labels[split.val], dataset.classes),
            "test": count_labels(dataset.labels[split.test], dataset.classes),
        },
        image_size=dataset.image_size,
        channels=dataset.channels,
        size_reason=dataset.size_reason,
        streamed=dataset.source.streamed,
        sizes=dataset.sizes,
        modes=dataset.modes,
        notes=(*dataset.notes, *split.notes),
        excluded=dataset.excluded,
    )


def audit_images(dataset: Dataset, split: Split, folder: Path) -> InspectStep:
    """Check a dataset and draw samples of each class into ``folder/samples.png``.

    ``seconds`` and ``peak_memory_mb`` are left at 0 for the caller, who measures.
    """
    record = describe_data(dataset, split)
    totals = count_labels(dataset.labels, dataset.classes)
    ratio = max(totals.values()) / max(1, min(totals.values()))
    share = max(totals.values()) / len(dataset)
    duplicates = len(dataset) - len(set(dataset.hashes))
    leaked = count_leaks(dataset, split)
    balance = describe_balance(totals)
    draw_samples(dataset, split.train, folder / "samples.png")
    return InspectStep(
        status="done",
        seconds=0.0,
        peak_memory_mb=0.0,
        answer=_answer(record, balance, duplicates, leaked),
        data=record,
        balance=balance,
        imbalance_ratio=ratio,
        majority_share=share,
        duplicates=duplicates,
        leaked=leaked,
        samples=f"{folder.name}/samples.png",
    )


def describe_balance(totals: dict[str, int]) -> str:
    """Say in a sentence whether the balance of classes matters.

    >>> describe_balance({"a": 50, "b": 50})
    'Every class has 50 images: balance is no issue, and plain accuracy is a fair measure.'
    """
    large = max(totals, key=lambda name: totals[name])
    small = min(totals, key=lambda name: totals[name])
    ratio = totals[large] / max(1, totals[small])
    share = 100 * totals[large] / max(1, sum(totals.values()))
    if ratio == 1:
        return (
            f"Every class has {totals[large]:,} images: balance is no issue, and plain accuracy "
            "is a fair measure."
        )
    sizes = (
        f"The largest class ({large}, {totals[large]:,}) has {ratio:.1f} times the images of the "
        f"smallest ({small}, {totals[small]:,})"
    )
    if ratio < MATTERS:
        return f"{sizes}: close enough to balanced that it is no issue."
    return (
        f"{sizes}: balance matters. Always answering {large} would be right {share:.1f} % of the "
        f"time, so read accuracy against that, and look at the recall of {small}; "
        "tellapart train --class-weights balanced gives every class the same say."
    )


def draw_samples(dataset: Dataset, rows: Indices, path: Path) -> Path:
    """Write a PNG with a line of evenly spaced samples of each class, out of ``rows``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    classes, columns = len(dataset.classes), SAMPLES
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=(columns * 0.95 + 1.6, classes * 0.95 + 0.1), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(classes, columns, squeeze=False)
    for index, name in enumerate(dataset.classes):
        own = rows[dataset.labels[rows] == index]
        picked = own[np.linspace(0, len(own) - 1, min(columns, len(own))).astype(int)]
        pixels = dataset.source.read(picked)
        for place in range(columns):
            axis = axes[index, place]
            axis.set_axis_off()
            if place < len(picked):
                image = pixels[place]
                grey = image.shape[2] == 1
                axis.imshow(image[:, :, 0] if grey else image, cmap="gray", vmin=0, vmax=255)
        short = name if len(name) <= 16 else f"{name[:15]}…"
        axes[index, 0].text(
            -0.15,
            0.5,
            short.replace("$", r"\$"),
            transform=axes[index, 0].transAxes,
            ha="right",
            va="center",
            fontsize=11,
        )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return write_bytes(path, stream.getvalue())


def _answer(record: DataRecord, balance: str, duplicates: int, leaked: int) -> str:
    counts = [sum(record.counts[role].values()) for role in ("train", "val", "test")]
    parts = [
        f"{sum(counts):,} images in {len(record.classes)} classes: {counts[0]:,} to train on, "
        f"{counts[1]:,} to choose on (val), {counts[2]:,} kept for the test.",
        balance,
    ]
    if leaked:
        parts.append(f"{leaked:,} val or test images are exact copies of images in another split.")
    elif duplicates:
        parts.append(f"{duplicates:,} images are exact copies; copies stay on one side.")
    if record.excluded:
        parts.append(f"{len(record.excluded):,} unreadable files were left out.")
    return " ".join(parts)
