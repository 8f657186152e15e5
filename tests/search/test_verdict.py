from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from tellapart.records import Estimate, SizeRecord, Verdict
from tellapart.search.verdict import judge_sizes

SIZES = (16, 32, 64, 128, 256, 512, 1024)
CHANCE = 0.006


def judge(groups: Sequence[Sequence[float]]) -> Verdict:
    return judge_sizes(
        [
            SizeRecord(
                size=size,
                parameters=size,
                seconds=1.0,
                val_accuracy=Estimate(value=sum(group) / len(group), low=0, high=1, n=5000),
                seeds=tuple(group),
                best_epochs=(1,) * len(group),
            )
            for size, group in zip(SIZES, groups, strict=False)
        ]
    )


def simulate(truth: Sequence[float], seeds: int, repeats: int) -> list[Verdict]:
    rng = np.random.default_rng(17)
    draws = rng.normal(truth, CHANCE, (repeats, seeds, len(truth)))
    return [judge(draw.T.tolist()) for draw in draws]


@pytest.mark.parametrize(("sizes", "seeds"), [(7, 3), (6, 3), (7, 2), (4, 3)])
def test_where_size_does_not_matter_an_ideal_one_is_seldom_found(sizes: int, seeds: int) -> None:
    repeats = 400
    kinds = Counter(one.kind for one in simulate([0.6] * sizes, seeds, repeats))
    noise = 2 * (0.05 * 0.95 / repeats) ** 0.5
    assert kinds["ideal"] / repeats <= 0.05 + noise
    assert kinds["bigger"] / repeats <= 0.05 + noise
    assert kinds["flat"] / repeats >= 0.75


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
    assert "ideal size: 128; smaller and larger ones do worse" in verdicts[0].sentence


def test_a_falling_curve_has_its_ideal_at_the_smallest() -> None:
    verdict = judge([(p - 0.005, p, p + 0.005) for p in (0.7, 0.6, 0.5, 0.4)])
    assert (verdict.kind, verdict.size) == ("ideal", 16)
    assert "ideal size: 16; larger ones do worse" in verdict.sentence


def test_a_rise_to_a_plateau_is_bigger_up_to_its_start() -> None:
    truth = (0.40, 0.50, 0.60, 0.70, 0.70, 0.70, 0.70)
    verdicts = simulate(truth, 3, 200)
    right = [one for one in verdicts if (one.kind, one.size) == ("bigger", 128)]
    assert len(right) >= 0.75 * len(verdicts)
    assert right[0].sentence.startswith("Bigger is better up to 128; beyond that nothing")
    assert "up to 1024" in right[0].sentence


def test_a_rise_without_end_asks_for_more() -> None:
    verdict = judge([(p - 0.005, p, p + 0.005) for p in (0.4, 0.5, 0.6)])
    assert (verdict.kind, verdict.size) == ("bigger", 64)
    assert "more might gain still" in verdict.sentence


def test_one_seed_cannot_tell() -> None:
    verdict = judge([(0.4,), (0.6,), (0.5,)])
    assert (verdict.kind, verdict.size, verdict.best) == ("unknown", 32, 32)
    assert verdict.tied == (16, 32, 64)
    assert "--seeds 3" in verdict.sentence


def test_a_gap_among_the_tied_cannot_tell() -> None:
    verdict = judge([(p - 0.005, p, p + 0.005) for p in (0.6, 0.4, 0.6)])
    assert (verdict.kind, verdict.tied) == ("unknown", (16, 64))
    assert "16, 64 are tied" in verdict.sentence


def test_all_tied_is_flat_and_the_cheapest_is_taken() -> None:
    verdict = judge([(0.60, 0.62), (0.61, 0.63), (0.60, 0.63)])
    assert (verdict.kind, verdict.size) == ("flat", 16)
    assert verdict.tied == SIZES[:3]
    assert f"below {100 * verdict.margin:.1f} points" in verdict.sentence


def test_the_margin_is_students_with_bonferroni_by_hand() -> None:
    verdict = judge([(0.50, 0.52), (0.60, 0.64), (0.55, 0.57)])
    spread = ((0.02**2 / 2 + 0.04**2 / 2 + 0.02**2 / 2) / 3) ** 0.5
    t = 3.18244630528371  # Student's t at 0.975 on 3 degrees of freedom, from a table
    assert verdict.margin == pytest.approx(t * spread, rel=1e-9)
