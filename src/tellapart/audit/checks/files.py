"""Are there files that cannot be read, or that show nothing?"""

from __future__ import annotations

import numpy as np

from tellapart.audit.checks.check import GRAVE, SHOWN, Looked
from tellapart.data.loading import SINGLE
from tellapart.records import Finding


def check_unreadable(looked: Looked) -> Finding | None:
    """Return a finding where files were left out, for they cannot be read."""
    dataset = looked.dataset
    count, of = len(dataset.excluded), len(dataset) + len(dataset.excluded)
    if not count:
        return None
    return Finding(
        name="unreadable",
        title="Files were left out",
        severity="grave" if count >= GRAVE * of else "mind",
        count=count,
        of=of,
        sentence=f"Files that look like images and were left out: {count:,} of {of:,}.",
        advice="The list says why; restore or remove them.",
        examples=tuple(f"{one.path}: {one.reason}" for one in dataset.excluded[:SHOWN]),
    )


def check_blank(looked: Looked) -> Finding | None:
    """Return a finding where images are of a single colour."""
    dataset = looked.dataset
    if SINGLE in dataset.facts:
        single = np.array(dataset.facts[SINGLE]) == "yes"
    elif not dataset.source.streamed:  # arrays: small, and here already
        single = np.ptp(looked.thumbs, axis=(1, 2)).max(1) == 0
    else:
        return None
    rows = np.flatnonzero(single).tolist()
    if not rows:
        return None
    return Finding(
        name="blank",
        title="Images of a single colour",
        severity="grave" if len(rows) >= GRAVE * len(dataset) else "mind",
        count=len(rows),
        of=len(dataset),
        sentence=f"Images that show a single colour: {len(rows):,} of {len(dataset):,}.",
        advice="Look at them, and leave out what shows nothing (--exclude).",
        examples=looked.name_rows(rows[:SHOWN]),
        picture=looked.show_classes(rows, "blank"),
        leave_out=looked.name_rows(rows),
    )
