"""Would more data help? One network trained on growing shares of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import NotFinite
from tellapart.metrics.learning import Foresight, Need, foresee
from tellapart.records import (
    CurveRecord,
    GainRecord,
    LearningPoint,
    LearnStep,
    NeedRecord,
    RunRecord,
)
from tellapart.search.sweep import Train, summarize_sizes

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the training images."""
FEWEST_PER_CLASS = 2
GOALS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Accuracies of which it is said how many images they take, the next two above what there is."""
FARTHEST = 50
"""Times as many images as there are, beyond which an accuracy is out of reach."""


def choose_shares(images: int, classes: int) -> tuple[float, ...]:
    """Return the shares that leave at least ``FEWEST_PER_CLASS`` images a class.

    >>> choose_shares(100, 5)
    (0.125, 0.25, 0.5, 1.0)
    """
    return tuple(share for share in SHARES if share * images >= FEWEST_PER_CLASS * classes)


Chance = Callable[[Sequence[Sequence[RunRecord]]], NDArray[np.float64]]
"""Gives for runs of k sizes (resamples, k) deviations of their means by the chance of images."""


def run_learning(
    images: Sequence[int], seeds: int, train: Train, draw: Chance | None = None
) -> LearnStep:
    """Train on growing numbers of images, fit a curve, and say what twice the data may bring.

    ``train`` is given points, each a number of images and that of a seed; a training that is not
    finite is left out. ``draw`` tells what other val images would have given.

    Raises:
        NotFinite: no training of the whole data was finite.
    """
    asked = [(size, seed) for size in images for seed in range(seeds)]
    outcomes = zip(asked, train(asked), strict=True)
    found = {point: outcome for point, outcome in outcomes if outcome is not None}
    records, groups, failures = summarize_sizes(images, found)
    if not records or records[-1].size < images[-1]:
        raise next((one for own in failures.values() for one in own), NotFinite("no time"))
    sizes = [record.size for record in records]
    values = [record.seeds for record in records]
    means = [record.val_score.value for record in records]
    wanted = [goal for goal in GOALS if goal > means[-1]][:2]
    chance = draw(groups) if draw else None
    seen = foresee(sizes, values, accuracies=wanted, chance=chance)
    gain = seen.gain if seen else None
    curve = seen.curve if seen else None
    return LearnStep(
        model=groups[-1][-1].label,
        metric=groups[-1][-1].metric,
        points=tuple(
            LearningPoint(
                images=one.size, score=one.val_score, seeds=one.seeds, seconds=one.seconds
            )
            for one in records
        ),
        curve=None if curve is None else CurveRecord(**vars(curve)),
        gain=None if gain is None else GainRecord(**vars(gain)),
        needs=tuple(NeedRecord(**vars(need)) for need in (seen.needs if seen else ())),
        sentence=say_foresight(sizes, means, seen),
    )


def say_crossing(images: Sequence[int], scratch: Sequence[float], transfer: Sequence[float]) -> str:
    """Say for how much data a pretrained backbone is ahead of a network from scratch.

    Where the order turns once, it is between two sizes, along lines over the logarithm of the size.

    >>> say_crossing([100, 400], [0.4, 0.8], [0.6, 0.6])[:65]
    'With fewer than about 200 images the pretrained backbone is ahead'
    """
    ahead = [t - s for s, t in zip(scratch, transfer, strict=True)]
    backbone, network = "the pretrained backbone", "the network from scratch"
    span = f"From {images[0]:,} to {images[-1]:,} images"
    if min(ahead) > 0:
        enough = next(n for n, t in zip(images, transfer, strict=True) if t >= scratch[-1])
        same = f"; with {enough:,} it does as well as the other with {images[-1]:,}"
        return f"{span} {backbone} is ahead of {network}{same if enough < images[-1] else ''}."
    if max(ahead) < 0:
        return f"{span} {network} is ahead of {backbone}."
    turns = [i for i in range(len(ahead) - 1) if (ahead[i] > 0) != (ahead[i + 1] > 0)]
    if len(turns) != 1:
        return f"Which is ahead, {network} or {backbone}, is not clear."
    (turn,) = turns
    part = ahead[turn] / (ahead[turn] - ahead[turn + 1])
    near = float(f"{images[turn] * (images[turn + 1] / images[turn]) ** part:.2g}")
    first, then = (backbone, network) if ahead[0] > 0 else (network, backbone)
    return f"With fewer than about {near:,.0f} images {first} is ahead, with more {then}."


def say_foresight(images: Sequence[int], means: Sequence[float], seen: Foresight | None) -> str:
    """Say what twice the data may bring and what an accuracy takes, or that it cannot be said."""
    if seen is None:
        return (
            "Cannot tell whether more data would help: that takes four sizes of data, with at "
            "least two seeds."
        )
    last = (
        f"from {images[-2]:,} to {images[-1]:,} images it was "
        f"{100 * (means[-1] - means[-2]):+.1f} points"
    )
    gain = seen.gain
    if gain is None:
        return f"What more data would bring cannot be foreseen: no usual curve fits; {last}."
    wrong = 1 - means[-1]
    large = 0.0005 <= gain.value < wrong  # less is 0.0 points
    part = f", or {100 * gain.value / wrong:.0f} % of the mistakes" if large else ""
    return (
        f"Twice as many images ({2 * images[-1]:,}), if they are like these, should bring "
        f"{100 * gain.value:.1f} points ({100 * gain.low:.1f} to {100 * gain.high:.1f})"
        f"{part}; {last}. {say_needs(images[-1], seen.needs)}"
    ).rstrip()


def _round(images: float) -> float:
    return float(f"{images:.2g}")


def say_needs(images: int, needs: Sequence[Need]) -> str:
    """Say how many images accuracies take: "90 % takes 4,000 to 9,000; 95 % is out of reach"."""
    said = []
    for need in needs:
        goal = f"{100 * need.accuracy:g} %"
        if need.low is None or need.low > FARTHEST * images:
            said.append(f"{goal} is out of reach")
        elif need.high is None or need.high > FARTHEST * images:
            said.append(f"{goal} takes {_round(max(images, need.low)):,.0f} images or many more")
        else:
            low, high = (_round(max(images, end)) for end in (need.low, need.high))
            said.append(f"{goal} takes {low:,.0f} to {high:,.0f} images")
    return "; ".join(said) + "." if said else ""
