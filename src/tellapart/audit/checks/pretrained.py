"""Are there images that pretrained backbones were trained on?"""

from __future__ import annotations

import re

from tellapart.audit.checks.check import GRAVE, SHOWN, Looked
from tellapart.records import Finding

IMAGENET = re.compile(r"(^|[/\\])(n\d{8}[_/\\]|ILSVRC2012_)")
"""Files and class folders as ImageNet names them: n01440764_10026.JPEG."""


def check_pretrained(looked: Looked) -> Finding | None:
    """Return a finding where images have ImageNet's names, on which most backbones were trained."""
    dataset = looked.dataset
    rows = [row for row, file in enumerate(dataset.files) if IMAGENET.search(file)]
    if not rows:
        return None
    return Finding(
        name="pretrained",
        title="Images that backbones were trained on",
        severity="grave" if len(rows) >= GRAVE * len(dataset) else "mind",
        count=len(rows),
        of=len(dataset),
        sentence=f"Images with names of ImageNet: {len(rows):,} of {len(dataset):,}. Pretrained "
        "backbones were trained on it: what a transfer gets right of them is partly memory.",
        advice="Judge a backbone on images from elsewhere.",
        examples=looked.name_rows(rows[:SHOWN]),
    )
