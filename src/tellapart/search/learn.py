"""Would more data help? One network trained on growing shares of the data."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.errors import NotFinite
from tellapart.metrics.learning import Gain, fit_curve, foresee_gain
from tellapart.records import CurveRecord, GainRecord, LearningPoint, LearnStep
from tellapart.search.sweep import Train, summarize_sizes

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the training images."""
FEWEST_PER_CLASS = 2
WIDE = 0.05
"""Width of the interval of a gain from which nothing can be said of it."""
HARDLY = 0.01
"""A gain that is called hardly any, where even the upper end of its interval is below it."""


def choose_shares(images: int, classes: int) -> tuple[float, ...]:
    """Return the shares that leave at least ``FEWEST_PER_CLASS`` images a class.

    >>> choose_shares(100, 5)
    (0.125, 0.25, 0.5, 1.0)
    """
    return tuple(share for share in SHARES if share * images >= FEWEST_PER_CLASS * classes)


def run_learning(images: Sequence[int], seeds: int, train: Train) -> LearnStep:
    """Train on growing numbers of images, fit a curve, and say what twice the data may bring.

    ``train`` is given points, each a number of images and that of a seed; a training that is not
    finite is left out.

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
    curve = fit_curve(sizes, means) if len(sizes) > 2 else None
    gain = foresee_gain(sizes, values)
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
        sentence=say_gain(sizes, means, gain),
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
