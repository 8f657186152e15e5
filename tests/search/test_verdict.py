from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from tellapart.config import EQUIVALENCE
from tellapart.metrics.layout import fit_layout
from tellapart.records import Estimate, GridVerdict, Scalar, SizeRecord, Trend, Verdict
from tellapart.search.grid import judge_levels
from tellapart.search.knee import estimate_knee
from tellapart.search.standing import HOPELESS
from tellapart.search.verdict import judge_sizes

SIZES = (16, 32, 64, 128, 256, 512, 1024)
CHANCE = 0.006


def judge(
    groups: Sequence[Sequence[float]],
    equivalence: float = EQUIVALENCE,
    sizes: Sequence[int] = SIZES,
) -> Verdict:
    return judge_sizes(make_sizes(groups, sizes), equivalence)


def make_sizes(
    groups: Sequence[Sequence[float]], sizes: Sequence[int], n: int = 5000
) -> list[SizeRecord]:
    return [
        SizeRecord(
            size=size,
            parameters=size,
            seconds=1.0,
            val_score=Estimate(value=sum(group) / len(group), low=0, high=1, n=n),
            seeds=tuple(group),
            seed_numbers=tuple(range(len(group))),
            best_epochs=(1,) * len(group),
        )
        for size, group in zip(sizes, groups, strict=False)
    ]


def simulate(
    truth: Sequence[float], seeds: int, repeats: int, chance: float = CHANCE
) -> list[Verdict]:
    rng = np.random.default_rng(17)
    draws = rng.normal(truth, chance, (repeats, seeds, len(truth)))
    return [judge(draw.T.tolist()) for draw in draws]


def noise(share: float, repeats: int) -> float:
    """Return twice the standard error of a share of simulated sweeps."""
    return 2 * math.sqrt(share * (1 - share) / repeats)


@pytest.mark.parametrize(("sizes", "seeds"), [(7, 3), (6, 3), (7, 2), (4, 3), (2, 5)])
def test_where_size_does_not_matter_an_ideal_one_is_seldom_found(sizes: int, seeds: int) -> None:
    repeats = 400
    kinds = Counter(one.kind for one in simulate([0.6] * sizes, seeds, repeats))
    assert (kinds["ideal"] + kinds["bigger"]) / repeats <= 0.05 + noise(0.05, repeats)
    assert (kinds["flat"] + kinds["unknown"]) / repeats >= 0.93


def test_with_seeds_enough_flat_is_said_to_be_flat() -> None:
    kinds = Counter(one.kind for one in simulate([0.6] * 7, 6, 300))
    assert kinds["flat"] / 300 >= 0.9


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_a_size_that_loses_more_than_the_margin_is_seldom_called_as_good(seeds: int) -> None:
    """One size loses a little more than counts as none: it must not be called near."""
    truth = (0.6 - EQUIVALENCE - 0.002, *[0.6] * 5)
    repeats = 400
    verdicts = simulate(truth, seeds, repeats)
    wrong = sum(one.firm and one.size == SIZES[0] for one in verdicts)
    assert wrong / repeats <= 0.05 + noise(0.05, repeats)


@pytest.mark.parametrize(
    "truth",
    [
        (0.60,) * 7,
        (0.50, 0.55, 0.60, 0.602, 0.60, 0.59, 0.55),
        (0.55, 0.57, 0.59, 0.60, 0.605, 0.608, 0.609),
    ],
)
def test_the_truly_best_size_is_among_the_tied(truth: tuple[float, ...]) -> None:
    best = SIZES[int(np.argmax(truth))]
    verdicts = simulate(truth, 3, 400)
    assert sum(best in one.tied for one in verdicts) / 400 >= 0.95


def test_a_peak_is_an_ideal_size() -> None:
    truth = (0.50, 0.55, 0.60, 0.65, 0.60, 0.55, 0.50)
    verdicts = simulate(truth, 3, 100)
    assert {(one.kind, one.size, one.best, one.tied) for one in verdicts} == {
        ("ideal", 128, 128, (128,))
    }
    assert sum(one.firm for one in verdicts) >= 95
    assert "an ideal size, 128; smaller and larger ones do worse" in verdicts[0].sentence


def test_a_falling_curve_has_its_ideal_at_the_smallest() -> None:
    verdict = judge(shuffled((0.7, 0.6, 0.5, 0.4)))
    assert (verdict.kind, verdict.size) == ("ideal", 16)
    assert "ideal size, 16; larger ones do worse" in verdict.sentence


def shuffled(means: Sequence[float], step: float = 0.005) -> list[tuple[float, ...]]:
    """Return three seeds a size around each mean, none lucky with every size."""
    turns = ((-step, 0.0, step), (0.0, step, -step), (step, -step, 0.0))
    return [tuple(mean + by for by in turns[i % 3]) for i, mean in enumerate(means)]


def test_a_rise_to_a_plateau_is_bigger_up_to_its_start() -> None:
    truth = (0.40, 0.50, 0.60, 0.70, 0.70, 0.70, 0.70)
    verdicts = simulate(truth, 3, 200)
    right = [one for one in verdicts if (one.kind, one.size) == ("bigger", 128)]
    assert len(right) >= 0.75 * len(verdicts)
    knee = right[0].knee
    assert knee is not None
    assert 64 < knee.low <= knee.value <= knee.high < 256
    assert right[0].sentence.startswith("Bigger is better up to about 1")
    assert "nothing is gained up to 1024" in right[0].sentence
    assert "Take 128, the smallest tried beyond it." in right[0].sentence


SATURATING = (0.556, 0.590, 0.614, 0.6265, 0.637, 0.642, 0.642)
"""About what CIFAR-10's widths come to: the limit is crossed between 64 and 128."""

ON_THE_EDGE = (0.590, 0.611, 0.6265, 0.640, 0.6515, 0.660)
"""About what its dense sizes come to: the fourth loses just what counts as none."""


def find_truth(truth: Sequence[float]) -> float:
    """Return where a curve comes within the limit of its best: by interpolation, by hand."""
    least = max(truth) - EQUIVALENCE
    place = max(i for i, value in enumerate(truth) if value < least - 1e-12)
    share = (least - truth[place]) / (truth[place + 1] - truth[place])
    return float(SIZES[place] * 2**share)


KINKED = (0.50, 0.53, 0.56, 0.575, 0.60, 0.60, 0.60)
"""A straight rise to a plateau, which is no power law: 128 loses too much, 256 nothing."""

PLATEAU = (0.56, 0.58, 0.62, 0.62, 0.62, 0.62, 0.62)
"""Many equal sizes, of which the best is so by luck; the second loses too much."""

AT_THE_END = (0.56, 0.58, 0.60, 0.615, 0.628, 0.638, 0.658)
"""The last but one loses just what counts as none."""


@pytest.mark.parametrize("truth", [SATURATING, ON_THE_EDGE, PLATEAU, AT_THE_END])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_the_knee_holds_the_true_one(truth: tuple[float, ...], seeds: int) -> None:
    knees = [one.knee for one in simulate(truth, seeds, 600)]
    true = find_truth(truth)
    held = sum(knee is not None and knee.low <= true <= knee.high for knee in knees) / 600
    assert 0.95 - noise(0.05, 600) <= held <= 0.98 + noise(0.02, 600)


@pytest.mark.parametrize("truth", [SATURATING, ON_THE_EDGE, PLATEAU, AT_THE_END])
def test_two_sweeps_of_the_same_agree_though_a_size_lies_on_the_edge(
    truth: tuple[float, ...],
) -> None:
    """Their kind is the same and their intervals overlap; the size taken may differ on the edge."""
    verdicts = simulate(truth, 3, 600)
    pairs = list(zip(verdicts[::2], verdicts[1::2], strict=True))
    agree = sum(
        one.kind == other.kind == "bigger"
        and max(one.knee.low, other.knee.low) <= min(one.knee.high, other.knee.high)  # type: ignore[union-attr]  # a rising curve has one
        for one, other in pairs
    )
    assert agree / len(pairs) >= 0.97
    same = sum(one.size == other.size for one, other in pairs) / len(pairs)
    expected = 0.99 if truth is PLATEAU else 0.73 if truth is SATURATING else 0.45
    assert same >= expected - noise(expected, len(pairs))
    for one in verdicts:
        if one.kind != "bigger":
            continue
        assert one.knee is not None
        assert one.sentence.startswith("Bigger is better up to about ")
        assert one.knee.low <= one.knee.value <= one.knee.high
        assert one.firm == (not one.possible) == (not one.more_seeds)
        assert one.decisive or one.firm or one.more_seeds > HOPELESS
        smaller = {size for size in one.possible if size < one.size}
        assert smaller <= set(one.decisive) or one.more_seeds > HOPELESS
        assert set(one.decisive) <= {*one.possible, one.size, one.best}


def test_a_curve_through_all_sizes_makes_a_verdict_steadier() -> None:
    """Beside the line between two sizes, of the same sweeps: the estimate varies less."""
    rng = np.random.default_rng(3)
    with_curve, without = [], []
    for draw in rng.normal(SATURATING, CHANCE, (300, 3, len(SATURATING))):
        verdict = judge(draw.T.tolist())
        if verdict.curve is None or verdict.knee is None:
            continue
        fit = fit_layout([dict(enumerate(group)) for group in draw.T.tolist()])
        best = int(np.argmax(fit.means))
        with_curve.append(math.log2(verdict.knee.value))
        without.append(math.log2(estimate_knee(SIZES, fit, best, EQUIVALENCE).value))
        assert verdict.knee.low <= verdict.knee.value <= verdict.knee.high
    assert len(with_curve) > 200
    assert np.std(with_curve) < 0.92 * np.std(without)


def test_with_ever_more_seeds_a_curve_that_does_not_fit_is_not_followed() -> None:
    verdicts = simulate(KINKED, 60, 100)
    assert {(one.kind, one.size, one.curve) for one in verdicts} == {("bigger", 256, None)}
    few = simulate(KINKED, 3, 100)
    assert 5 <= sum(one.curve is not None for one in few) <= 80


@pytest.mark.parametrize("chance", [0.003, 0.006, 0.012, 0.025])
@pytest.mark.parametrize("truth", [SATURATING, ON_THE_EDGE, AT_THE_END, KINKED])
def test_the_size_taken_is_the_one_that_the_sentence_says_it_is(
    truth: tuple[float, ...], chance: float
) -> None:
    sizes = SIZES[: len(truth)]
    said = Counter[str]()
    for one in simulate(truth, 3, 60, chance):
        if one.knee is None or one.kind != "bigger":
            continue
        beyond = next(size for size in sizes if size >= one.knee.value)
        if "tried beyond it" in one.sentence or "tried beyond that" in one.sentence:
            assert one.size == beyond
        else:
            assert one.size < beyond
            assert "not told from the best" in one.sentence
        said["beyond" if one.size == beyond else "not told"] += 1
        assert one.knee.low <= one.knee.value <= one.knee.high
    assert said["beyond"] > 0 or chance > 0.012


def test_the_curve_is_in_the_verdict_and_its_size_in_the_sentence() -> None:
    truth = [0.66 - 0.06 * (size / 1024) ** -0.25 for size in SIZES]
    verdict = judge(shuffled(truth, 0.002))
    assert (verdict.kind, verdict.curve is None) == ("bigger", False)
    assert verdict.knee is not None
    assert verdict.knee.value == pytest.approx(1024 * (0.08 / 0.06) ** -4, rel=0.05)
    assert "Bigger is better up to about 3" in verdict.sentence
    assert verdict.size == 512


@pytest.mark.parametrize(
    "truth", [(0.7, 0.6, 0.5), (0.5, 0.7, 0.5), (0.5, 0.6, 0.7), (0.5, 0.67, 0.7)]
)
def test_sizes_need_not_be_powers_of_two(truth: tuple[float, ...]) -> None:
    best = int(np.argmax(truth))
    own = judge(shuffled(truth, 0.001))
    other = judge(shuffled(truth, 0.001), sizes=(20, 300, 400))
    assert (other.kind, other.firm, other.possible) == (own.kind, True, ())
    assert other.size == (20, 300, 400)[best]
    if best == 0:
        assert other.knee is None
    else:
        assert other.knee is not None
        assert (20, 300)[best - 1] < other.knee.low <= other.knee.high <= (300, 400)[best - 1]


def test_a_size_open_to_chance_below_the_one_taken_has_its_own_count_of_seeds() -> None:
    """By hand: what must shrink is the distance of its loss from the limit, not the loss."""
    verdict = judge(shuffled((0.577, 0.599, 0.600), 0.006))
    assert (verdict.size, verdict.possible) == (32, (16,))
    spread = 0.006 * math.sqrt(2 * 3 / 4)  # three seeds of three sizes, sum of squares 6 steps
    for seeds in range(4, 100):
        t = stats.t.ppf(0.975, 2 * (seeds - 1))
        if t * spread * math.sqrt(2 / seeds) <= 0.003:
            break
    assert verdict.more_seeds == seeds - 3
    assert f"may be 16: {seeds - 3} more seeds a size would be needed to tell" in verdict.sentence


def test_with_seeds_too_few_the_smallest_that_may_be_as_good_is_taken() -> None:
    verdict = judge(shuffled((0.40, 0.565, 0.600, 0.601), 0.03))
    assert verdict.kind == "bigger"
    assert verdict.knee is not None
    assert verdict.knee.value > verdict.size == 32
    assert "Take 32, the smallest not told from the best." in verdict.sentence
    assert "differences up to 2 points count as none, those below" in verdict.sentence


def test_a_failed_seed_leaves_the_knee_in_its_place() -> None:
    groups = shuffled((0.50, 0.56, 0.60, 0.60), 0.002)
    whole = judge(groups).knee
    part = judge([groups[0], groups[1], groups[2][:2], groups[3]]).knee
    assert whole is not None
    assert part is not None
    assert part.low < whole.value < part.high


def test_the_knee_lies_on_a_straight_line_over_the_logarithm_of_the_size() -> None:
    verdict = judge([(0.50,) * 2, (0.54,) * 2, (0.56, 0.56)], equivalence=0.04)
    assert verdict.knee is not None
    assert verdict.knee.value == pytest.approx(16 * 2**0.5)
    assert verdict.knee.low == verdict.knee.high == verdict.knee.value


def test_the_interval_of_the_knee_is_that_of_paired_t_tests_at_sizes_tried() -> None:
    """A size tried lies below the interval where a paired t-test shows it to lose too much."""
    low, high = np.array([0.600, 0.604, 0.597, 0.601]), np.array([0.640, 0.643, 0.639, 0.641])
    test = stats.ttest_rel(high, low)
    interval = test.confidence_interval(0.95)
    for limit, inside in ((interval.low - 1e-6, False), (interval.low + 1e-6, True)):
        knee = judge([tuple(low), tuple(high)], equivalence=limit).knee
        assert knee is not None
        assert (knee.low == SIZES[0]) is inside
    knee = judge([tuple(low), tuple(high)], equivalence=interval.high + 1e-6).knee
    assert knee is None, "within the limit even with chance added: flat"


def test_a_rise_without_end_asks_for_more() -> None:
    verdict = judge(shuffled((0.4, 0.5, 0.6)))
    assert (verdict.kind, verdict.size, verdict.firm) == ("bigger", 64, True)
    assert "the largest, so still larger ones might gain" in verdict.sentence


def test_one_seed_cannot_tell() -> None:
    verdict = judge([(0.4,), (0.6,), (0.5,)])
    assert (verdict.kind, verdict.size, verdict.best) == ("unknown", 32, 32)
    assert verdict.tied == (16, 32, 64)
    assert "--seeds 3" in verdict.sentence


def test_a_gap_among_the_tied_cannot_tell() -> None:
    verdict = judge(shuffled((0.6, 0.4, 0.6)))
    assert (verdict.kind, verdict.tied) == ("unknown", (16, 64))
    assert "16, 64 are tied" in verdict.sentence
    assert (verdict.firm, verdict.more_seeds, verdict.decisive) == (False, 0, ())
    assert verdict.sentence.endswith("; more seeds would hardly change that.")


def test_a_gap_that_is_not_shown_gets_more_seeds() -> None:
    verdict = judge(shuffled((0.6, 0.57, 0.6)))
    assert (verdict.kind, verdict.tied) == ("unknown", (16, 64))
    assert verdict.more_seeds > 0
    assert 32 in verdict.decisive
    assert "to see a difference of 2 points" in verdict.sentence


def test_larger_sizes_that_may_gain_still_are_open() -> None:
    verdict = judge(shuffled((0.40, 0.615, 0.612), 0.03))
    assert (verdict.kind, verdict.size, verdict.best, verdict.firm) == ("bigger", 32, 32, False)
    assert (verdict.possible, verdict.decisive) == ((64,), (32, 64))
    assert f"may be 64: {verdict.more_seeds} more seed" in verdict.sentence
    assert "no gain was seen up to 64" in verdict.sentence
    first = judge(shuffled((0.615, 0.612, 0.40), 0.03))
    assert (first.kind, first.size, first.knee, first.firm) == ("ideal", 16, None, False)
    assert (first.possible, first.decisive) == ((32,), (16, 32))


def test_a_larger_size_that_is_better_is_seldom_denied() -> None:
    """Seeds vary much here: a firm verdict must not be the luck of the smaller size."""
    verdicts = simulate((0.40, 0.60, 0.63), 3, 400, 0.03)
    assert sum(one.best == 32 for one in verdicts) / 400 > 0.05
    denied = sum(one.kind != "unknown" and 64 not in (one.size, *one.possible) for one in verdicts)
    assert denied / 400 <= 0.05 + noise(0.05, 400)


def test_the_seeds_that_close_the_upper_end_are_counted_by_its_own_level() -> None:
    """By hand, of six sizes: Student's t at 0.975, which the end of the interval is read at."""
    verdict = judge(shuffled((0.50, 0.55, 0.57, 0.583, 0.600, 0.601), 0.002))
    assert (verdict.size, verdict.possible) == (128, (256,))
    spread = 0.002 * math.sqrt(12 / 10)
    for seeds in range(4, 100):
        if stats.t.ppf(0.975, 5 * (seeds - 1)) * spread * math.sqrt(2 / seeds) <= 0.002:
            break
    assert verdict.more_seeds == seeds - 3


def test_a_size_that_seems_to_lose_too_much_is_counted_by_the_corrected_level() -> None:
    """By hand, of six sizes: the one taken lies below the knee, whose lower end is corrected."""
    verdict = judge(shuffled((0.40, 0.565, 0.600, 0.601, 0.600, 0.600), 0.03))
    assert verdict.knee is not None
    assert verdict.knee.value > verdict.size == 32
    assert min(verdict.possible) > 32
    spread = 0.03 * math.sqrt(12 / 10)
    for seeds in range(4, 100):
        t = stats.t.ppf(1 - 0.05 / 5, 5 * (seeds - 1))
        if t * spread * math.sqrt(2 / seeds) <= 0.036 - EQUIVALENCE:
            break
    assert verdict.more_seeds == seeds - 3


def test_all_within_the_margin_is_flat_and_the_cheapest_is_taken() -> None:
    verdict = judge(shuffled((0.600, 0.603, 0.601), 0.001))
    assert (verdict.kind, verdict.size, verdict.firm) == ("flat", 16, True)
    assert verdict.tied == SIZES[:3]
    assert "between 16 and 64 (by 2 points or more): take 16, the cheapest" in verdict.sentence


def test_where_small_sizes_alone_are_open_the_others_are_said_to_be_as_good() -> None:
    verdict = judge(shuffled((0.581, 0.598, 0.600, 0.601), 0.004))
    assert (verdict.kind, verdict.size, verdict.firm) == ("flat", 32, False)
    assert (verdict.tied, verdict.possible) == (SIZES[:4], (16,))
    assert "between 32 and 128 (by 2 points or more): take 32, the cheapest" in verdict.sentence
    assert "By chance the size to take may be 16" in verdict.sentence
    open_ends = judge(shuffled((0.600, 0.601, 0.5995, 0.583), 0.004))
    assert (open_ends.kind, open_ends.possible) == ("unknown", ())
    alone = judge(shuffled((0.5835, 0.5830, 0.583, 0.601), 0.004))
    assert (alone.kind, alone.possible) == ("unknown", ())


def test_a_size_said_to_be_as_good_seldom_loses_more_than_the_margin() -> None:
    """The three largest lose nothing, the others a little more than counts as none."""
    truth = (*[0.6 - EQUIVALENCE - 0.002] * 3, *[0.6] * 3)
    for seeds in (2, 3, 6):
        verdicts = simulate(truth, seeds, 300)
        wrong = sum(one.kind == "flat" and one.size < SIZES[3] for one in verdicts)
        assert wrong / 300 <= 0.05 + noise(0.05, 300)


def test_a_difference_below_the_margin_counts_as_none_even_where_it_is_certain() -> None:
    groups = shuffled((0.600, 0.610, 0.610), 0.0005)
    assert judge(groups).kind == "flat"
    strict = judge(groups, equivalence=0.005)
    assert (strict.kind, strict.size) == ("bigger", 32)


def test_a_loss_below_the_margin_is_not_worse_though_larger_than_chance() -> None:
    verdict = judge(shuffled((0.560, 0.583, 0.600, 0.599), 0.004))
    assert 0.010 < verdict.margin < 0.017
    assert (verdict.kind, verdict.size, verdict.firm) == ("bigger", 32, False)
    assert "up to 128 (differences up to 2 points count as none). Take 32" in verdict.sentence
    assert f"may be 64: {verdict.more_seeds} more seed" in verdict.sentence
    assert verdict.possible == (64,)


def test_further_seeds_are_for_sizes_that_may_be_the_one_to_take_and_the_best() -> None:
    assert judge(shuffled((0.560, 0.584, 0.600, 0.599), 0.004)).decisive == (32, 64)
    verdict = judge(shuffled((0.577, 0.589, 0.600, 0.599), 0.004))
    assert (verdict.size, verdict.decisive) == (32, (16, 64))


@pytest.mark.parametrize("loss", [0.010, 0.030])
def test_with_ever_more_seeds_the_smallest_within_the_margin_is_taken(loss: float) -> None:
    truth = (0.50, 0.60 - loss, 0.60, 0.60)
    verdicts = simulate(truth, 30, 100)
    right = SIZES[1] if loss < EQUIVALENCE else SIZES[2]
    assert {(one.kind, one.size, one.firm) for one in verdicts} == {("bigger", right, True)}


def test_what_is_not_settled_says_how_many_seeds_would_do() -> None:
    """The number is about what it takes, where the truth is what it seems."""
    groups = shuffled((0.600, 0.602, 0.601), 0.012)
    verdict = judge(groups)
    assert (verdict.kind, verdict.firm) == ("unknown", False)
    assert verdict.more_seeds > 0
    assert f"{verdict.more_seeds} more seeds a size would be needed" in verdict.sentence
    assert "a difference of 2 points" in verdict.sentence
    times = -(-(3 + verdict.more_seeds) // 3)
    assert judge([group * times for group in groups]).firm
    spread = stats.tstd(np.array(groups).ravel())
    assert 0.008 < spread < 0.014


def test_the_margin_is_that_of_the_two_way_layout_by_hand() -> None:
    groups = [(0.50, 0.52), (0.60, 0.64), (0.55, 0.57)]
    table = np.array(groups)
    left = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    spread = math.sqrt(np.square(left).sum() / 2)
    t = 4.302652729911275  # Student's t at 0.975 on 2 degrees of freedom, from a table
    assert judge(groups).margin == pytest.approx(t * spread, rel=1e-9)


def test_two_sizes_are_compared_as_by_the_paired_t_test() -> None:
    first, second = (0.60, 0.64, 0.61, 0.66), (0.63, 0.66, 0.65, 0.67)
    verdict = judge([first, second], equivalence=0.0)
    paired = stats.ttest_rel(second, first, alternative="greater")
    assert (verdict.kind == "bigger") == (paired.pvalue < 0.025)
    low = paired.confidence_interval(0.95).low
    assert verdict.margin == pytest.approx(np.mean(second) - np.mean(first) - low)


def test_luck_that_all_sizes_share_says_nothing_about_sizes() -> None:
    luck = np.array([-0.05, 0.0, 0.05])
    plain = shuffled((0.60, 0.63, 0.66), 0.002)
    shared = [tuple(np.array(group) + luck) for group in plain]
    assert judge(shared).margin == pytest.approx(judge(plain).margin)
    assert judge(shared).kind == judge(plain).kind == "bigger"


def test_the_smallest_within_one_standard_error_is_named() -> None:
    groups = shuffled((0.600, 0.618, 0.620), 0.01)
    verdict = judge(groups)
    table = np.array(groups)
    left = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    error = math.sqrt(np.square(left).sum() / 4 / 3)
    assert 0.002 < error < 0.02
    assert verdict.one_error == 32


def test_the_trend_is_a_line_over_doublings() -> None:
    verdict = judge(shuffled((0.50, 0.52, 0.54, 0.56), 0.001))
    assert verdict.trend is not None
    assert verdict.trend.per_doubling == pytest.approx(0.02, abs=0.001)
    assert verdict.trend.low < 0.02 < verdict.trend.high
    assert judge([(0.5,), (0.6,)]).trend is None


@pytest.mark.parametrize("accuracy", [0.0, 36 / 38, 1.0])
@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("sizes", [2, 5, 7])
def test_accuracies_that_are_all_equal_say_that_size_does_not_matter(
    sizes: int, seeds: int, accuracy: float
) -> None:
    verdict = judge([[accuracy] * seeds] * sizes)
    assert (verdict.kind, verdict.size) == ("flat", SIZES[0])
    assert verdict.trend is not None
    assert verdict.trend.model_dump() == pytest.approx(dict.fromkeys(Trend.model_fields, 0.0))


@pytest.mark.parametrize("n", [1, 2, 38, 5000])
@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("sizes", [1, 2, 3, 5, 7])
def test_no_verdict_has_a_number_that_is_not_finite(sizes: int, seeds: int, n: int) -> None:
    """Accuracies of few images are often equal; a record that is not finite is not made."""
    rng = np.random.default_rng(n)
    for rates in ([0.5] * sizes, [1.0] * sizes, np.linspace(0, 1, sizes).tolist()):
        groups = (rng.binomial(n, rates, (seeds, sizes)).T / n).tolist()
        records = make_sizes(groups, SIZES, n)
        verdict = judge_sizes(records)
        assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
        levels: list[dict[str, Scalar]] = [{"dense": size} for size in SIZES]
        places = [one.model_copy(update={"size": i}) for i, one in enumerate(records)]
        grid = judge_levels(places, levels)
        assert GridVerdict.model_validate_json(grid.model_dump_json()) == grid


def test_the_trend_is_scipys_line() -> None:
    groups = [(0.50, 0.53), (0.55, 0.52), (0.6, 0.58)]
    trend = judge(groups).trend
    x = np.repeat(np.log2(SIZES[:3]), 2)
    line = stats.linregress(x, np.ravel(groups))
    half = stats.t.ppf(0.975, 4) * line.stderr
    assert trend is not None
    assert (trend.per_doubling, trend.high - trend.low) == pytest.approx((line.slope, 2 * half))
