from __future__ import annotations

from tellapart.records import SizeRecord
from tellapart.report.ranking import say_certainty
from tests.report.studies import make_estimate, make_ranking


def make_size(size: int, seeds: int = 2) -> SizeRecord:
    return SizeRecord(
        size=size,
        parameters=size,
        seconds=1.0,
        val_score=make_estimate(0.9, 500),
        seeds=(0.9,) * seeds,
        seed_numbers=tuple(range(seeds)),
        best_epochs=(3,) * seeds,
    )


def test_of_many_picks_four_are_named() -> None:
    ranking = make_ranking(8, 3)
    shares = (0.3, 0.25, 0.2, 0.1, 0.08, 0.04, 0.02, 0.005)
    picked = tuple(
        one.model_copy(update={"picked": share})
        for one, share in zip(ranking.candidates, shares, strict=True)
    )
    names = [f"level {number}" for number in range(8)]
    ranking = ranking.model_copy(update={"candidates": picked})
    said = say_certainty(ranking, names, [make_size(8)] * 8)
    assert "0 in 30 %, level 1 in 25 %, level 2 in 20 %, level 3 in 10 %, one of 3 others" in said
    assert "others in 14 %." in said
    assert "level 4" not in said
    few = ranking.model_copy(update={"candidates": picked[:5]})
    assert "level 3 in 10 %, another in 8 %." in say_certainty(few, names[:5], [make_size(8)] * 5)


def test_one_seed_is_no_measure_of_chance() -> None:
    said = say_certainty(make_ranking(2, 0), ["8", "16"], [make_size(8, 1), make_size(16, 1)])
    assert "With one seed there is no measure of the chance of training" in said
