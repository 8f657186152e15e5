"""Which of several candidates is best, and which could be: seeds and images drawn again.

A candidate is a size, a level, a head: anything that was trained with some seeds and classified
the same images. The rule takes the cheapest whose score comes within a margin of the best. Chance
has two parts: other seeds, and other images (or groups of images). Both are drawn again thousands
of times, and the rule is asked each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.scores import Classes, find_score
from tellapart.records import Candidate, FarSeed, Ranking

Numbers = NDArray[np.float64]
Costs = NDArray[np.float64] | NDArray[np.int64]
Rule = Callable[[Numbers], NDArray[np.int64]]
"""Gives, for (..., k) means, which of k candidates is taken."""

RESAMPLES = 2000
MARGIN = 0.01
PART = 1 / 4
"""What a cheaper candidate may lose, unless told, and at most: a part of the best's mistakes."""
FIRM = 0.9
"""The share of resamples in which the rule takes the same from which on an answer is firm."""
OPEN = 0.025
"""The share of resamples from which on a candidate counts as one that may be taken, or be best."""
FAR = 0.01
"""How often, of all rankings, a seed is wrongly said to be far off."""
BLOCK = 1 << 20
"""Weights of images that are drawn at once: they fit into a processor's cache."""


@dataclass(frozen=True)
class Images:
    """What all candidates classified: true classes, (n,), and the group of each image, (n,)."""

    truth: Classes
    classes: int
    metric: str = "accuracy"
    groups: Classes | None = None


def take_cheapest(means: Numbers, margin: float, costs: Costs) -> NDArray[np.int64]:
    """Return which of (..., k) candidates is the cheapest that comes within the margin of the best.

    Of equally cheap ones it is the best.

    >>> int(take_cheapest(np.array([0.90, 0.955, 0.96]), 0.01, np.arange(3)))
    1
    """
    best = means.max(-1, keepdims=True)
    # a drawn mean may lie above 1
    within = means >= best - np.minimum(margin, PART * np.maximum(0.0, 1 - best)) - 1e-9
    least = np.where(within, costs, np.inf).min(-1, keepdims=True)
    return np.asarray(np.where(within & (costs == least), means, -np.inf).argmax(-1))


def rank_candidates(
    images: Images,
    predicted: Sequence[Mapping[int, Classes]],
    margin: float = MARGIN,
    costs: Sequence[float] = (),
) -> Ranking:
    """Rank candidates by their mean score over seeds.

    Scores are fitted as ``candidate + seed + chance``, so that the luck of a seed which all
    candidates share says nothing. In each resample, images (or groups) get new weights (the
    Bayesian bootstrap, Rubin 1981), and each training a new deviation from those of all; both are
    spread as Student's t is, for how much they vary is measured on few seeds and perhaps few
    groups. What seeds add to the variation of images is taken out of it, and a pair of candidates
    differs by one image more (Agresti and Min 2005), so that equal ones are not taken for surely
    equal. The intervals of the losses hold for all pairs at once, their limits read off the
    resamples; from them follows which candidates may be the best (Hsu 1996, chapter 4).

    A training that lies below what the others make likely, by an outlier test on the studentized
    residual at level ``FAR``, is left out and named.

    Args:
        predicted: for each candidate the (n,) predicted classes by seed.
        margin: what the one to take may lose to the best, as a fraction of the score.
        costs: of each candidate; without them the first is the cheapest.
    """
    cells = [(place, seed) for place, own in enumerate(predicted) for seed in own]
    counts = [_count_groups(images, predicted[place][seed]) for place, seed in cells]
    values = _score_cells(images, counts)
    far: list[FarSeed] = []
    while (odd := _find_far(cells, values, len(images.truth))) is not None:
        place, seed = cells.pop(odd)
        far.append(FarSeed(place=place, seed=seed, score=float(values[odd])))
        values = np.delete(values, odd)
        counts.pop(odd)
    layout = _Layout(cells)
    means = layout.weights @ values
    by_images, by_seeds = _draw_images(images, counts, values, layout), layout.draw_seeds(values)
    deviations = by_images + by_seeds
    drawn = means + deviations
    order = np.array(costs) if costs else np.arange(len(predicted))
    rule = partial(take_cheapest, margin=margin, costs=order)
    taken = int(rule(means))
    best = int((means >= means.max() - 1e-9).argmax())
    picked = np.bincount(rule(drawn), minlength=len(means)) / len(drawn)
    leading = np.bincount(drawn.argmax(1), minlength=len(means)) / len(drawn)
    possible, low, high = _bound_losses(means, deviations)
    firm = bool(picked[taken] >= FIRM) and layout.freedom > 0
    limit: Literal["", "seeds", "images"] = "" if firm else "seeds"
    if layout.freedom and not firm:  # where either alone is chance: what leaves it more settled?
        by_either = (float((rule(means + part) == taken).mean()) for part in (by_images, by_seeds))
        limit = "images" if next(by_either) < next(by_either) else "seeds"
    return Ranking(
        taken=taken,
        best=best,
        margin=min(margin, PART * max(0.0, 1 - float(means[best]))),
        firm=firm,
        limit=limit,
        open=tuple(np.flatnonzero((picked >= OPEN) | (leading >= OPEN)).tolist()),
        candidates=tuple(
            Candidate(
                score=min(1.0, float(means[place])),
                loss=max(0.0, float(means[best] - means[place])),
                low=float(low[place]),
                high=float(high[place]),
                possible=bool(possible[place]),
                picked=float(picked[place]),
            )
            for place in range(len(means))
        ),
        far=tuple(far),
    )


def draw_images(images: Images, predicted: Sequence[Mapping[int, Classes]]) -> Numbers:
    """Return (resamples, candidates) deviations of mean scores by the chance of images alone."""
    cells = [(place, seed) for place, own in enumerate(predicted) for seed in own]
    counts = [_count_groups(images, predicted[place][seed]) for place, seed in cells]
    return _draw_images(images, counts, _score_cells(images, counts), _Layout(cells))


class _Layout:
    """The least-squares fit of ``score = candidate + seed + chance`` to the cells there are."""

    def __init__(self, cells: Sequence[tuple[int, int]]) -> None:
        places, seeds = (
            np.unique(part, return_inverse=True)[1] for part in zip(*cells, strict=True)
        )
        design = np.concatenate(
            [np.eye(places.max() + 1)[places], np.eye(seeds.max() + 1)[seeds]], 1
        )
        count = places.max() + 1
        design[:, count:] -= 1 / (seeds.max() + 1)  # effects of seeds sum to nothing
        rank = int(np.linalg.matrix_rank(design))
        if (
            rank < design.shape[1] - 1
        ):  # candidates that share no seed: nothing tells luck from size
            design = design[:, :count]
            rank = count
        inverse = np.linalg.pinv(design)
        self.weights: Numbers = inverse[:count]  # (candidates, cells): makes means of scores
        self.hat: Numbers = design @ inverse
        self.freedom = len(cells) - rank
        self.seeds: Numbers = np.bincount(places).astype(np.float64)

    def draw_seeds(self, values: Numbers) -> Numbers:
        """Return (resamples, candidates) deviations of means by the chance of seeds."""
        if self.freedom < 1:
            return np.zeros((RESAMPLES, len(self.weights)))
        rng = np.random.default_rng(1)
        left = (values - self.hat @ values) * math.sqrt(len(values) / self.freedom)
        drawn = rng.choice(left, (RESAMPLES, len(values)))
        return _widen(drawn @ self.weights.T, self.freedom, rng)


def _widen(deviations: Numbers, freedom: int, rng: np.random.Generator) -> Numbers:
    """Spread deviations as Student's t is: their scale was measured with few degrees of freedom."""
    return deviations * np.sqrt(freedom / rng.chisquare(freedom, (len(deviations), 1)))


def _count_groups(images: Images, predicted: Classes) -> tuple[Numbers, Numbers, Numbers]:
    """Return (groups, classes) counts: images of a class that are right, are of it, are called it.

    For accuracy all classes are one.
    """
    truth, classes, right = images.truth, images.classes, images.truth == predicted
    groups = np.arange(len(truth)) if images.groups is None else images.groups
    count = int(groups.max()) + 1
    if images.metric == "accuracy":
        truth, predicted, classes = np.zeros_like(truth), np.zeros_like(truth), 1

    def tally(named: Classes, weights: NDArray[np.bool_] | None = None) -> Numbers:
        found = np.bincount(groups * classes + named, weights, count * classes)
        return found.reshape(count, classes).astype(np.float64)

    return tally(truth, right), tally(truth), tally(predicted)


def _score_cells(images: Images, counts: Sequence[tuple[Numbers, Numbers, Numbers]]) -> Numbers:
    """Return the (cells,) scores of counts."""
    score = find_score(images.metric).function
    return np.array([float(score(*(part.sum(0) for part in one))) for one in counts])


def _draw_images(
    images: Images,
    counts: Sequence[tuple[Numbers, Numbers, Numbers]],
    values: Numbers,
    layout: _Layout,
) -> Numbers:
    """Return (resamples, candidates) deviations of means by the chance of images or groups."""
    rng, groups, n = np.random.default_rng(0), len(counts[0][0]), len(images.truth)
    score = find_score(images.metric).function
    drawn = np.empty((RESAMPLES, len(counts)))
    rows = max(1, BLOCK // groups)
    for first in range(0, RESAMPLES, rows):
        weights = rng.standard_exponential((min(rows, RESAMPLES - first), groups))
        true = weights @ counts[0][1]
        for cell, (right, _, named) in enumerate(counts):
            found = score(weights @ right, true, weights @ named)
            drawn[first : first + rows, cell] = found
    deviations = (drawn - values) @ layout.weights.T
    if groups < 2:
        return np.zeros_like(deviations)
    right = np.stack([own[0].sum(1) for own in counts], 1)  # (groups, cells)
    spread = _widen(deviations * _find_share(right, layout), groups - 1, rng)
    return spread + rng.standard_normal(spread.shape) * math.sqrt(0.5) / n


def _find_share(right: Numbers, layout: _Layout) -> float:
    """Return the share of the spread over images that is theirs alone, not the seeds'."""
    if layout.freedom < 1:
        return 1.0
    weights = layout.weights - layout.weights.mean(0)
    every = float((right @ weights.T).var(0).sum())
    left = right - right @ layout.hat.T
    seeds = float(left.var(0).sum()) / layout.freedom * float(np.square(weights).sum())
    return math.sqrt(max(0.0, 1 - seeds / every)) if every > 0 else 1.0


def _find_far(cells: Sequence[tuple[int, int]], values: Numbers, n: int) -> int | None:
    """Return the cell that lies furthest below what the others make likely, if one does.

    Seeds are taken to differ by one of ``n`` images at the least.
    """
    from scipy import stats

    layout = _Layout(cells)
    if layout.freedom < 3:
        return None
    left, leverage = values - layout.hat @ values, 1 - layout.hat.diagonal()
    many = np.array([layout.seeds[place] > 1 for place, _ in cells]) & (leverage > 1e-9)
    square = np.divide(left**2, leverage, out=np.zeros_like(left), where=many)
    place = int(np.where(many & (left < 0), square, 0.0).argmax())
    rest = float(left @ left) - square[place]
    if square[place] <= 1e-12:
        return None
    freedom = layout.freedom - 1
    ratio = math.sqrt(square[place] / max(rest / freedom, 1 / n**2))
    return place if stats.t.sf(ratio, freedom) < FAR / len(cells) else None


def _bound_losses(
    means: Numbers, deviations: Numbers
) -> tuple[NDArray[np.bool_], Numbers, Numbers]:
    """Return which may be the best, and the limits of what each loses to the best.

    They hold for all pairs at once (Tukey's way): where several are equally good, no more than 5 %
    of rankings say of one of them that it does worse.
    """
    count = len(means)
    if count == 1:
        return np.ones(1, bool), np.zeros(1), np.zeros(1)
    apart = deviations[:, :, None] - deviations[:, None, :]
    errors = apart.std(0)
    np.fill_diagonal(errors, np.inf)
    largest = np.quantile(np.abs(apart / np.maximum(errors, 1e-12)).max((1, 2)), LEVEL)
    np.fill_diagonal(errors, 0.0)
    reach = largest * errors
    behind = means[:, None] - means  # [best, other]: what the other loses if that one is best
    possible = np.all(-behind <= reach + 1e-12, axis=1)
    low, high = np.zeros(count), np.zeros(count)
    for place in range(count):
        others = [one for one in np.flatnonzero(possible) if one != place]
        if others:
            high[place] = max(0.0, float((behind + reach)[others, place].max()))
        if not possible[place]:
            low[place] = max(0.0, float(np.delete((behind - reach)[:, place], place).max()))
    return possible, np.minimum(low, high), high
