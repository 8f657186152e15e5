"""Known truths, and how often what tellapart says of them holds: the figures of docs/trust.md.

Each simulation draws data of a known truth, asks the function that the report asks, and says
whether the answer held (None: nothing was said). ``python -m tests.trust`` runs all of them and
writes the page; the tests run a few draws each, and hold them against the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tellapart.audit.neighbours import bound_accuracy, find_neighbours, reduce_features
from tellapart.config import TrainSettings
from tellapart.metrics.comparisons import (
    compute_mcnemar,
    find_detectable,
    find_effect,
    interval_difference,
)
from tellapart.metrics.intervals import (
    average_estimates,
    estimate_proportion,
    estimate_share,
    pool_spread,
)
from tellapart.metrics.learning import foresee
from tellapart.metrics.probabilities import measure_scores
from tellapart.metrics.ranking import draw_images, rank_candidates
from tellapart.metrics.scores import count_confusions, estimate_score, find_hardest, score_classes
from tellapart.metrics.selective import choose_surest, list_surest
from tellapart.models import SimpleSettings
from tellapart.records import Estimate, Ranking
from tellapart.search.confirm import confirm_winner
from tests.metrics.truths import TRUTHS, Setting, draw_networks, judge, make_images
from tests.search.runs import make_run

Draw = Callable[[np.random.Generator], bool | None]
Numbers = NDArray[np.float64]
MANY = 200_000
"""Images that stand for all there are, where a truth has no formula."""


def holds(found: Estimate, truth: float) -> bool:
    return found.low - 1e-12 <= truth <= found.high + 1e-12


def draw_share(rng: np.random.Generator, share: float, n: int) -> bool:
    return holds(estimate_proportion(int(rng.binomial(n, share)), n), share)


def draw_grouped(
    rng: np.random.Generator, share: float, icc: float, groups: int, size: int = 10
) -> NDArray[np.bool_]:
    """Return (groups, size): beta-binomial, whose correlation within groups is ``icc``."""
    level = np.full(groups, share)
    if icc:
        level = rng.beta(share * (1 / icc - 1), (1 - share) * (1 / icc - 1), groups)
    return rng.random((groups, size)) < level[:, None]


@cache
def measure_best(classes: int, apart: float) -> float:
    """Return the best accuracy for normal classes around the ends of the axes, by many draws."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=MANY)
    points = rng.normal(size=(MANY, classes)) + apart * np.eye(classes)[labels]
    return float((points.argmax(1) == labels).mean())


def draw_bound(rng: np.random.Generator, classes: int, apart: float, n: int, flips: float) -> bool:
    """The best that can be reached lies below the upper limit of its bound."""
    labels = rng.integers(classes, size=n)
    points = rng.normal(size=(n, classes)) + apart * np.eye(classes)[labels]
    flipped = rng.random(n) < flips
    labels = (labels + flipped * rng.integers(1, classes, size=n)) % classes
    own = reduce_features(lambda places: points[places].astype(np.float16), n)
    near, _ = find_neighbours(own, np.arange(n), 1)
    best = measure_best(classes, apart)
    truth = best * (1 - flips) + (1 - best) * flips / (classes - 1)
    return truth <= bound_accuracy(labels[near[:, 0]] == labels, np.arange(n), classes).high


def draw_share_of_groups(
    rng: np.random.Generator, icc: float, groups: int, share: float = 0.8
) -> bool:
    right = draw_grouped(rng, share, icc, groups)
    return holds(estimate_share(right.ravel(), np.arange(groups).repeat(10)), share)


def draw_pair_of_groups(rng: np.random.Generator, icc: float, groups: int) -> bool:
    """Two models of the same accuracy, each better at other groups; the test finds nothing."""
    either = draw_grouped(rng, 0.2, 0.0, groups)
    first = draw_grouped(rng, 0.5, icc, groups)
    a, b = (either & first).ravel(), (either & ~first).ravel()
    effect = find_effect(a, b, np.arange(groups).repeat(10))
    low, high = interval_difference(*(one / effect for one in (a.sum(), b.sum(), a.size)))
    assert (low > 0 or high < 0) == (compute_mcnemar(a.sum() / effect, b.sum() / effect) < 0.05)
    return low <= 0 <= high


def draw_logits(
    rng: np.random.Generator, n: int, classes: int, skew: float, heat: float = 1.5
) -> tuple[NDArray[np.int64], Numbers]:
    """Return truth and probabilities of a model; with ``heat`` 1.5 and equal classes calibrated."""
    shares = np.exp(-skew * np.arange(classes))
    truth = rng.choice(classes, n, p=shares / shares.sum())
    logits = rng.standard_normal((n, classes))
    logits[np.arange(n), truth] += 1.5
    return truth, special.softmax(heat * logits, axis=1)


def find_truth(name: str, classes: int, skew: float, heat: float) -> float:
    if name == "ece" and heat == 1.5:
        return 0.0
    key = (classes, skew, heat)
    if key not in _truths:
        truth, shares = draw_logits(np.random.default_rng(99), MANY, *key)
        _truths[key] = _measure_plain(truth, shares)
    return _truths[key][name]


_truths: dict[tuple[int, float, float], dict[str, float]] = {}


def _measure_plain(truth: NDArray[np.int64], shares: Numbers) -> dict[str, float]:
    from sklearn import metrics

    predicted = shares.argmax(1)
    own = shares[np.arange(len(truth)), truth]
    confidence = shares.max(1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    missed = np.bincount(bins, (predicted == truth) - confidence, 15)
    found = {
        "accuracy": float((predicted == truth).mean()),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, predicted)),
        "macro_f1": float(metrics.f1_score(truth, predicted, average="macro")),
        "log_loss": float(-np.log(own).mean()),
        "brier": float((np.square(shares).sum(1) - 2 * own + 1).mean()),
        "ece": float(np.abs(missed).sum() / len(truth)),
        "top5": float(((shares > own[:, None]).sum(1) < 5).mean()),
    }
    if shares.shape[1] == 2:
        found["auc"] = float(metrics.roc_auc_score(truth, shares[:, 1]))
    return found


def draw_score(
    rng: np.random.Generator, name: str, n: int, classes: int, skew: float, heat: float = 2.0
) -> bool:
    truth, shares = draw_logits(rng, n, classes, skew, heat)
    if name in ("balanced_accuracy", "macro_f1"):
        found = estimate_score(name, truth, shares.argmax(1), classes)
    else:
        found = measure_scores(truth, shares)[name]
    return holds(found, find_truth(name, classes, skew, heat))


def draw_class(rng: np.random.Generator, what: str, n: int) -> bool:
    """The rarest of five classes, as the table of classes has it."""
    truth, shares = draw_logits(rng, n, 5, 0.4)
    confusion = count_confusions(truth, shares.argmax(1), 5)
    found = getattr(score_classes(confusion, "abcde")[4], what)
    if "class" not in _classes:
        all_truth, all_shares = draw_logits(np.random.default_rng(98), MANY, 5, 0.4)
        every = count_confusions(all_truth, all_shares.argmax(1), 5)
        _classes["class"] = score_classes(every, "abcde")[4]
    return holds(found, getattr(_classes["class"], what).value)


_classes: dict[str, object] = {}


def draw_mean(rng: np.random.Generator, ease: tuple[float, float], n: int) -> bool:
    """Five sizes of three seeds; images differ in difficulty, and all seeds see the same."""
    truth = ease[0] / (ease[0] + ease[1])
    chance = rng.beta(*ease, n)
    luck = rng.normal(0, 0.01, (5, 3, 1)) * min(1.0, 40 * truth * (1 - truth))
    right = rng.random((5, 3, n)) < np.clip(chance + luck, 0, 1)
    spread, freedom = pool_spread(right.mean(2).tolist())
    parts = [estimate_proportion(int(own.sum()), n) for own in right[0]]
    return holds(average_estimates(parts, spread, freedom), truth)


def draw_difference(rng: np.random.Generator, cells: tuple[float, ...], n: int) -> bool:
    _, b, c, _ = rng.multinomial(n, cells).tolist()
    low, high = interval_difference(b, c, n)
    return bool(low <= cells[2] - cells[1] <= high)


def draw_detectable(rng: np.random.Generator, share: float, n: int) -> bool:
    d = find_detectable(round(share * n), n)
    b, c, _ = rng.multinomial(n, ((share - d) / 2, (share + d) / 2, 1 - share)).tolist()
    return compute_mcnemar(b, c) < 0.05


def draw_hardest(rng: np.random.Generator, count: int, support: int, recall: float) -> bool:
    hits = rng.binomial(support, recall, count)
    confusion = np.zeros((count, count), np.int64)
    confusion[np.arange(count), np.arange(count)] = hits
    confusion[np.arange(count), np.arange(count) - 1] = support - hits
    return find_hardest(confusion, [str(one) for one in range(count)]) is None


def draw_luck(rng: np.random.Generator, seeds: int) -> bool:
    """Of 16 equal trials the best, and fresh seeds of it: the true luck is in its interval."""
    best = float(rng.normal(0.6, 0.01, 16).max())
    fresh = rng.normal(0.6, 0.01, seeds)
    made = [make_run(SimpleSettings(), TrainSettings(), float(one)) for one in (best, *fresh)]
    found = confirm_winner(made[0], made[1:])
    return bool(found.low <= best - 0.6 <= found.high)


SHARES = np.array([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])


def draw_gain(
    rng: np.random.Generator, power: float, fall: float, n: int, what: str
) -> bool | None:
    """Networks on growing shares, three seeds each; what twice the data bring, or a goal takes."""
    floor, scale = 0.10, 0.12
    truth = 1 - floor - scale * SHARES**-power
    predicted = draw_networks(truth.tolist(), Setting(n, 3, 0.004), rng, SHARES**-fall)
    groups = [[float((own == 0).mean()) for own in one.values()] for one in predicted]
    goal = truth[-1] + 0.02
    chance = draw_images(make_images(n), predicted)
    seen = foresee((4000 * SHARES).tolist(), groups, accuracies=(goal,), chance=chance)
    if seen is None or seen.gain is None:
        return None
    if what == "gain":
        gain = scale - scale * 2**-power
        return seen.gain.low <= gain <= seen.gain.high
    (need,) = seen.needs
    left = 1 - goal - floor
    true = 4000 * (scale / left) ** (1 / power) if left > 0 else np.inf
    low = np.inf if need.low is None else need.low
    high = np.inf if need.high is None else need.high
    return bool(low <= true <= high)


@dataclass(frozen=True)
class Case:
    """A truth, how it is seen, how unequal the sizes' seeds are, and what one seed loses."""

    truth: str
    setting: Setting
    scale: tuple[float, ...] | None = None
    spoiled: float = 0.0

    def draw(self, rng: np.random.Generator, seeds: int) -> list[dict[int, NDArray[np.int64]]]:
        setting = replace(self.setting, seeds=seeds)
        found = draw_networks(TRUTHS[self.truth], setting, rng, self.scale)
        if self.spoiled:
            place, seed = int(rng.integers(len(found))), int(rng.integers(3))
            found[place][seed] = np.where(
                rng.random(setting.n) < self.spoiled, 1, found[place][seed]
            )
        return found


RANKED: dict[str, Case] = {
    f"{name}, seeds spread {100 * spread:g} points": Case(name, Setting(1000, 3, spread))
    for name in TRUTHS
    if name != "all right"
    for spread in (0.006, 0.012)
} | {
    "flat, no size suits an image better": Case("flat", Setting(1000, 3, 0.006, suits=0.0)),
    "saturating, seeds of small sizes spread four times as much": Case(
        "saturating", Setting(1000, 3, 0.006), tuple(np.geomspace(2, 0.5, 7).tolist())
    ),
    "saturating, one seed gets 8 % more wrong": Case(
        "saturating", Setting(1000, 3, 0.006), spoiled=0.08
    ),
    "saturating, one seed gets half more wrong": Case(
        "saturating", Setting(1000, 3, 0.006), spoiled=0.5
    ),
    "saturating, 18 val images": Case("saturating", Setting(18, 3, 0.006)),
    "strong optimum, 18 val images": Case("strong optimum", Setting(18, 3, 0.006)),
    "all right": Case("all right", Setting(300, 3, 0.0)),
}


def is_limited(predicted: list[dict[int, NDArray[np.int64]]], found: Ranking) -> bool | None:
    """Tell whether all seeds that were drawn leave open what three did, for want of images.

    None: seeds were called the limit, or none.
    """
    if found.limit != "images":
        return None
    more = [
        dict(list(own.items())[: None if place in found.open else 3])
        for place, own in enumerate(predicted)
    ]
    return not rank_candidates(make_images(len(predicted[0][0])), more).firm


def count_rankings(place: str, repeats: int) -> dict[str, list[int]]:
    """Return [how often it held, of how many] for each thing that rankings of a truth say."""
    case, rng = RANKED[place], np.random.default_rng(7)
    truth, drawn = TRUTHS[case.truth], [case.draw(rng, 23) for _ in range(repeats)]
    every = [judge(truth, [{s: own[s] for s in range(3)} for own in one]) for one in drawn]
    pairs = zip(drawn, every, strict=True)
    limited = [held for a, b in pairs if (held := is_limited(a, b.ranking)) is not None]
    firm = [one for one in every if one.ranking.firm]
    likely = [one for one in every if 0.6 <= one.ranking.candidates[one.ranking.taken].picked < 0.8]
    return {
        "within": [sum(one.within for one in every), repeats],
        "losses": [sum(one.covered for one in every), repeats],
        "worse": [sum(not one.slandered for one in every), repeats],
        "firm": [sum(one.within for one in firm), len(firm)],
        "wrong": [repeats - sum(not one.within for one in firm), repeats],
        "limit": [sum(limited), len(limited)],
        "picked": [sum(one.right for one in likely), len(likely)],
    }


@cache
def list_sure(accuracy: float) -> Numbers:
    """Return the confidences of many answers of a calibrated model, the surest first."""
    shape = 1.2 * accuracy / (1 - accuracy)
    return np.sort(np.random.default_rng(0).beta(shape, 1.2, MANY))[::-1]


def draw_promise(rng: np.random.Generator, accuracy: float, error: float, n: int) -> bool | None:
    sure = list_sure(accuracy)
    confidence = rng.choice(sure, n)
    found = choose_surest(list_surest(confidence, rng.random(n) < confidence), error)
    if found is None:
        return None
    answered = sure[sure >= found.threshold]
    return float(1 - answered.mean()) <= error


SIMULATIONS: dict[str, dict[str, Draw]] = {
    "promise": {
        f"{error:.0%} promised, {n:,} test images, {accuracy:.0%} right".replace(
            "%", " %"
        ): partial(draw_promise, accuracy=accuracy, error=error, n=n)
        for accuracy, error, n in (
            (0.95, 0.05, 1000),
            (0.95, 0.02, 1000),
            (0.88, 0.1, 379),
            (0.88, 0.05, 1000),
            (0.88, 0.05, 5000),
        )
    },
    "share": {
        f"{share:.0%} of {n:,} images".replace("%", " %"): partial(draw_share, share=share, n=n)
        for share, n in ((0.5, 20), (0.9, 60), (0.98, 300), (0.75, 1000))
    },
    "share of groups": {
        f"{groups} groups of 10 images, correlation {icc:g}": partial(
            draw_share_of_groups, icc=icc, groups=groups
        )
        for icc in (0.0, 0.1, 0.5)
        for groups in (10, 30, 100)
    },
    "bound": {
        f"{classes} classes, {n:,} images, best {measure_best(classes, apart):.0%}, "
        f"{flips:.0%} of labels flipped".replace("%", " %"): partial(
            draw_bound, classes=classes, apart=apart, n=n, flips=flips
        )
        for classes, apart in ((3, 8.0), (10, 4.0))
        for n in (300, 1000)
        for flips in (0.0, 0.2)
    },
    "class": {
        f"{what} of the rarest of 5 classes, {n:,} images": partial(draw_class, what=what, n=n)
        for what in ("precision", "f1")
        for n in (150, 1000)
    },
    "bootstrap": {
        f"{name}, {classes} classes{', unequal' if skew else ''}, {n:,} images": partial(
            draw_score, name=name, n=n, classes=classes, skew=skew
        )
        for name, classes, skew in (
            ("balanced_accuracy", 5, 0.4),
            ("macro_f1", 5, 0.4),
            ("log_loss", 5, 0.0),
            ("brier", 5, 0.0),
            ("auc", 2, 1.0),
        )
        for n in (150, 1000)
    },
    "calibration": {
        f"{classes} classes, {n:,} images, {how}": partial(
            draw_score, name="ece", n=n, classes=classes, skew=0.0, heat=heat
        )
        for classes, n in ((5, 300), (5, 2000), (20, 300))
        for heat, how in ((1.5, "calibrated"), (1.7, "a little too sure"), (2.5, "too sure"))
    },
    "mean over seeds": {
        f"about {a / (a + b):.0%} of {n} val images".replace("%", " %"): partial(
            draw_mean, ease=(a, b), n=n
        )
        for a, b, n in ((4.0, 2.0, 400), (0.2, 0.004, 270), (40.0, 0.3, 270))
    },
    "difference": {
        f"one alone right on {b:.0%}, the other alone on {c:.0%} of {n}".replace(
            "%", " %"
        ): partial(draw_difference, cells=(1 - b - c - 0.1, b, c, 0.1), n=n)
        for b, c, n in ((0.1, 0.1, 60), (0.02, 0.06, 150), (0.05, 0.3, 300))
    },
    "difference of groups": {
        f"{groups} groups of 10 images, correlation {icc:g}": partial(
            draw_pair_of_groups, icc=icc, groups=groups
        )
        for icc in (0.1, 0.5)
        for groups in (10, 30, 100)
    },
    "detectable": {
        f"models that disagree on {share:.0%} of {n:,} images".replace("%", " %"): partial(
            draw_detectable, share=share, n=n
        )
        for share, n in ((0.1, 1000), (0.3, 400), (0.05, 5000))
    },
    "hardest": {
        f"{count} equal classes of {support} images": partial(
            draw_hardest, count=count, support=support, recall=recall
        )
        for count, support, recall in ((10, 27, 0.97), (20, 10, 0.9))
    },
    "luck": {f"{seeds} fresh seeds": partial(draw_luck, seeds=seeds) for seeds in (2, 3)},
    "gain": {
        f"power {power:g}, {n:,} val images, seeds differ {how}": partial(
            draw_gain, power=power, fall=fall, n=n, what="gain"
        )
        for power, n in ((0.3, 500), (0.6, 2000))
        for fall, how in ((0.0, "alike at all sizes"), (0.25, "more at small ones"))
    },
    "need": {
        f"2 points more, power {power:g}, {n:,} val images": partial(
            draw_gain, power=power, fall=0.25, n=n, what="need"
        )
        for power, n in ((0.3, 500), (0.6, 2000))
    },
}
