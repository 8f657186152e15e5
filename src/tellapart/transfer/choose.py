"""Which input resolution, and which backbone, are worth all images: asked of a few of them.

Features of a part of the training images are given to a logistic head, which is evaluated on a part
of val. They are kept, so that they are not computed again for the candidate that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tellapart.data.dataset import Dataset, Indices
from tellapart.data.subset import take_share
from tellapart.models.backbone import Backbone, resize_backbone
from tellapart.records import ScreenRecord
from tellapart.train.loop import Rows
from tellapart.transfer.features import Progress, extract_features
from tellapart.transfer.head import Examples
from tellapart.transfer.logistic import fit_best
from tellapart.transfer.resources import Resources, fits_memory

TRAIN_IMAGES, WATCH_IMAGES = 2000, 1000
"""Of train and val that a candidate is screened on, at most."""
PARTS = (3 / 7, 4 / 7, 5 / 7)
"""Of a backbone's own resolution: what is tried too for images that are smaller."""
GRID = 32
"""Resolutions are multiples of it, which the strides of all common backbones divide."""


@dataclass(frozen=True)
class Screen:
    """What candidates are screened on; ``watch`` gives what shows the images of one."""

    dataset: Dataset
    rows: Rows
    resources: Resources
    seed: int
    metric: str = "accuracy"
    watch: Callable[[Backbone], Progress] = lambda backbone: lambda done, total: None

    def try_backbone(self, backbone: Backbone) -> ScreenRecord:
        """Return how well a backbone does on a few training images and a few of val."""

        def take(rows: Indices, most: int) -> Indices:
            return take_share(self.dataset, rows, min(1.0, most / len(rows)), self.seed)

        train = take(self.rows.train, TRAIN_IMAGES)
        rows = np.concatenate([train, take(self.rows.watch, WATCH_IMAGES)])
        found = extract_features(
            self.dataset, backbone, self.resources, self.watch(backbone), rows=rows
        )
        own = Rows(np.arange(len(train)), np.arange(len(train), len(rows)))
        examples = Examples(
            found.vectors, self.dataset.labels[rows], groups=self.dataset.groups[rows]
        )
        fit = fit_best(examples, own, metric=self.metric)
        return ScreenRecord(
            name=backbone.name,
            image_size=backbone.image_size,
            parameters=backbone.parameters,
            val_score=fit.score,
            seconds=found.seconds,
            computed=found.computed,
        )


def list_resolutions(backbone: Backbone, side: int) -> tuple[int, ...]:
    """Return the resolutions worth trying: its own, and lower ones where images are smaller.

    ``side`` is that of the images, in pixels.
    """
    own = backbone.image_size
    if backbone.fixed or side >= own:
        return (own,)
    sizes = {max(GRID, round(part * own / GRID) * GRID) for part in PARTS} | {own}
    return tuple(sorted(size for size in sizes if size >= min(side, own)))


def choose_resolution(
    screen: Screen, backbone: Backbone, sizes: Sequence[int], say: Callable[[str], None]
) -> tuple[Backbone, tuple[ScreenRecord, ...]]:
    """Return a backbone at the resolution that does best, the lowest of equals; one is not tried.

    They are tried from the lowest up, until a higher one, which costs more, does no better. One is
    left out for which memory does not suffice, and that is said.
    """
    every = [resize_backbone(backbone, size) for size in sizes]
    fitting = [one for one in every if fits_memory(one, screen.resources)] or every[:1]
    for one in every:
        if one not in fitting:
            say(f"{one.name} at {one.image_size} px: left out, it takes too much memory")
    if len(fitting) == 1:
        return fitting[0], ()
    found: list[ScreenRecord] = []
    for one in fitting:
        found.append(screen.try_backbone(one))
        share = 100 * found[-1].val_score.value
        say(f"{one.name} at {one.image_size} px, on a part of the images: {share:.1f} %")
        scores = [record.val_score.value for record in found]
        best = scores.index(max(scores))
        if best < len(found) - 1:
            break
    return fitting[best], tuple(found)
