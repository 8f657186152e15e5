from __future__ import annotations

import pytest

from tellapart.records import Candidate, Ranking, SizeRecord
from tellapart.report.ranking import name_kind, say_certainty, say_levels, say_sizes
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


SCORES = {
    "rises": (0.80, 0.86, 0.895, 0.90),
    "falls": (0.90, 0.89, 0.86, 0.80),
    "inside": (0.80, 0.90, 0.895, 0.80),
    "none": (0.895, 0.90, 0.897, 0.89),
}
SAID = {
    "rises": "Accuracy rises with the number of filters and levels off: 32 filters come within 1 "
    "point of the best (64); 8 loses 10.0 points (8.0 to 12.0).",
    "falls": "Accuracy falls with the number of filters up to the smallest tried, 8: smaller ones "
    "may do better still; 64 loses 10.0 points (8.0 to 12.0).",
    "inside": "The best size lies between the ends: 16 filters are best; 8 loses 10.0 points (8.0 "
    "to 12.0) and 64 loses 10.0 points (8.0 to 12.0).",
    "none": "No difference beyond chance was seen between 8 and 64 filters; 64 may lose up to 3 "
    "points. 16 filters have the highest mean.",
}


def rank(kind: str, taken: int) -> Ranking:
    scores = SCORES[kind]
    losses = [max(scores) - score for score in scores]
    return make_ranking(4, taken).model_copy(
        update={
            "best": losses.index(0),
            "candidates": tuple(
                Candidate(
                    score=score, loss=loss, low=max(0.0, loss - 0.02), high=loss + 0.02,
                    possible=loss <= 0.02, picked=0.25,
                )
                for score, loss in zip(scores, losses, strict=True)
            ),
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "taken"), [("rises", 2), ("falls", 0), ("inside", 1), ("none", 1)]
)
def test_each_shape_has_its_sentence(kind: str, taken: int) -> None:
    ranking = rank(kind, taken)
    assert name_kind(ranking.candidates) == kind
    assert say_sizes(ranking, [make_size(size) for size in (8, 16, 32, 64)], "width") == SAID[kind]


def test_levels_that_no_data_tell_apart_have_no_best() -> None:
    assert say_levels(rank("none", 1), "abcd") == (
        "B has the highest mean; no difference beyond chance was seen, but one of up to 3 points "
        "is possible."
    )
    assert say_levels(rank("inside", 1), "abcd").startswith("B is best; a loses 10.0 points (8.0")
