"""What a backbone's features tell of single images: labels that look wrong, strange pictures."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from tellapart.audit.checks.check import SHOWN, Looked
from tellapart.audit.neighbours import find_far
from tellapart.data.dataset import Indices, Labels
from tellapart.records import ROLES, Finding
from tellapart.workspace import write_text

SUSPECTS = "suspects.csv"


def list_suspects(labels: Labels, probabilities: NDArray[np.float32]) -> Indices:
    """Return which of (n,) labels look wrong, the least likely label first.

    By confident learning (Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence
    Research 70:1373), as cleanlab has it.

    Args:
        probabilities: (n, classes), of models that had not seen the image.
    """
    from cleanlab.filter import find_label_issues

    present, codes = np.unique(labels, return_inverse=True)
    own = probabilities[:, present].astype(np.float64)
    own /= own.sum(1, keepdims=True)
    found = find_label_issues(
        codes, own, return_indices_ranked_by="self_confidence", filter_by="both", n_jobs=1
    )
    return np.asarray(found[own.argmax(1)[found] != codes[found]], np.int64)


def find_labels(
    looked: Looked, rows: Indices, probabilities: NDArray[np.float32]
) -> Finding | None:
    """Return a finding where labels of ``rows`` look wrong; all are listed in ``SUSPECTS``."""
    dataset = looked.dataset
    labels, classes = dataset.labels[rows], dataset.classes
    suspects, guesses = list_suspects(labels, probabilities), probabilities.argmax(1)
    if not len(suspects):
        return None
    parts = {int(row): role for role in ROLES for row in getattr(looked.split, role)}
    lines = [
        (int(rows[at]), parts.get(int(rows[at]), ""), classes[labels[at]], classes[guesses[at]],
         float(probabilities[at, labels[at]]))
        for at in suspects.tolist()
    ]  # fmt: skip
    if looked.folder is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("file", "split", "label", "looks_like", "probability_of_label"))
        for row, part, label, guess, share in lines:
            writer.writerow((dataset.name_row(row), part, label, guess, f"{share:.2g}"))
        write_text(looked.folder / SUSPECTS, text.getvalue())
    tested = sum(line[1] == "test" for line in lines)
    first = lines[:SHOWN]
    return Finding(
        name="labels",
        title="Labels that look wrong",
        severity="mind",
        count=len(lines),
        of=len(rows),
        sentence=f"Labels that look wrong: {len(lines):,} of {len(rows):,}"
        f"{f', {tested:,} of them in test' if tested else ''}. A classifier that had not seen the "
        "image finds another class likelier; many of these images are merely hard.",
        advice=f"Look at them, the least likely label first ({SUSPECTS} has all). Correct the "
        "label, or leave the image out: --exclude takes that file, once the lines of labels that "
        "are right are gone from it.",
        examples=tuple(
            f"{dataset.name_row(row)}: labelled {label}, looks like {guess}"
            f"{', in test' if part == 'test' else ''}"
            for row, part, label, guess, _ in first
        ),
        picture=looked.show([(line[0], f"{line[2]}?\n{line[3]}") for line in first], "labels"),
    )


def find_outliers(looked: Looked, rows: Indices, distances: NDArray[np.float64]) -> Finding | None:
    """Return a finding where images lie far from all others: ``distances`` (n,) are to those."""
    far = rows[find_far(distances)].tolist()
    if not far:
        return None
    return Finding(
        name="outliers",
        title="Images unlike all others",
        severity="mind",
        count=len(far),
        of=len(rows),
        sentence=f"Images unlike all others: {len(far):,} of {len(rows):,}.",
        advice="Look whether they belong here; leave out what does not (--exclude).",
        examples=looked.name_rows(far[:SHOWN]),
        picture=looked.show_classes(far, "outliers"),
    )
