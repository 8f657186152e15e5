"""Are there images that pretrained backbones were trained on?"""

from __future__ import annotations

import re

from tellapart.audit.checks.check import SHOWN, Looked
from tellapart.records import Finding

IMAGENET = re.compile(r"(^|[/\\])n(0\d|1[0-5])\d{6}[_/\\]")
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
        severity="mind",
        count=len(rows),
        of=len(dataset),
        sentence=f"Images with names of ImageNet: {len(rows):,} of {len(dataset):,}. Pretrained "
        "backbones may have been trained on them: what a transfer gets right is then memory.",
        advice="Judge a backbone on images from elsewhere.",
        examples=looked.name_rows(rows[:SHOWN]),
        picture=looked.show_classes(rows, "pretrained"),
    )
