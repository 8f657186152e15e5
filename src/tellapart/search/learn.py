"""Would more data help? One network trained on growing shares of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tellapart.errors import Failure, NotFinite
from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.metrics.learning import Gain, fit_curve, foresee_gain
from tellapart.records import GainRecord, LearningPoint, LearnStep, RunRecord
from tellapart.search.curve import keep_curve

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the training images."""
FEWEST_PER_CLASS = 2
WIDE = 0.05
"""Width of the interval of a gain from which nothing can be said of it."""
HARDLY = 0.01
"""A gain that is called hardly any, where even the upper end of its interval is below it."""


@dataclass(frozen=True)
class Portion:
    """One training: a share of the training images, and the seed."""

    share: float
    seed: int


def choose_shares(images: int, classes: int) -> tuple[float, ...]:
    """Return the shares that leave at least ``FEWEST_PER_CLASS`` images a class.

    >>> choose_shares(100, 5)
    (0.125, 0.25, 0.5, 1.0)
    """
    return tuple(share for share in SHARES if share * images >= FEWEST_PER_CLASS * classes)


def run_learning(
    shares: Sequence[float],
    seeds: int,
    count_images: Callable[[float], int],
    train: Callable[[Sequence[Portion]], Sequence[RunRecord | Failure | None]],
) -> LearnStep:
    """Train on every share with every seed, fit a curve, and say what twice the data may bring.

    A training that is not finite is left out.

    Args:
        shares: rising.
        count_images: gives the number of images in a share.

    Raises:
        NotFinite: no training of the whole data was finite.
    """
    cells = [Portion(share, seed) for share in shares for seed in range(seeds)]
    found = train(cells)
    groups: dict[float, list[RunRecord]] = {share: [] for share in shares}
    for cell, run in zip(cells, found, strict=True):
        if isinstance(run, RunRecord):
            groups[cell.share].append(run)
    if not groups[shares[-1]]:
        raise next((run for run in found if isinstance(run, Failure)), NotFinite("no time"))
    kept = [share for share in shares if groups[share]]
    values = [[run.val_score.value for run in groups[share]] for share in kept]
    spread, freedom = pool_spread(values)
    last = groups[shares[-1]][-1]
    points = tuple(
        LearningPoint(
            images=count_images(share),
            score=estimate_mean(own, last.val_score.n, spread, freedom),
            seeds=tuple(own),
            seconds=sum(run.seconds for run in groups[share]) / len(own),
        )
        for share, own in zip(kept, values, strict=True)
    )
    images = [point.images for point in points]
    means = [point.score.value for point in points]
    curve = fit_curve(images, means) if len(points) > 2 else None
    gain = foresee_gain(images, values)
    return LearnStep(
        model=last.label,
        metric=last.metric,
        points=points,
        curve=None if curve is None else keep_curve(curve),
        gain=None if gain is None else GainRecord(value=gain.value, low=gain.low, high=gain.high),
        sentence=say_gain(images, means, gain),
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


def say_gain(images: Sequence[int], means: Sequence[float], gain: Gain | None) -> str:
    """Say what twice the data may bring, or that it cannot be said."""
    if gain is None:
        return (
            "Cannot tell whether more data would help: that takes four sizes of data, with at "
            "least two seeds."
        )
    low, high = 100 * gain.low, 100 * gain.high
    twice = f"twice as many images ({2 * images[-1]:,})"
    if gain.high - gain.low > WIDE:
        return (
            f"Cannot tell whether more data would help: {twice} might bring anything from "
            f"{low:.1f} to {high:.1f} points; more seeds would narrow it."
        )
    points, span = f"{100 * gain.value:.1f} points", f"({low:.1f} to {high:.1f})"
    last = f"from {images[-2]:,} to {images[-1]:,} images it was "
    last += f"{100 * (means[-1] - means[-2]):+.1f} points"
    if gain.high < HARDLY:
        return f"More data would hardly help: {twice} should bring {points} {span}; {last}."
    if gain.low <= 0:
        return (
            f"More data may help: {twice} should bring {points}, but it may be none {span}; {last}."
        )
    return (
        f"More data would help: {twice} should bring about {points} {span}, if they are like "
        f"these; {last}."
    )
