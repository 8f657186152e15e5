from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tellapart.metrics.comparisons import (
    compare_pairs,
    compute_mcnemar,
    correct_holm,
    find_detectable,
    find_effect,
    interval_difference,
)


@pytest.mark.parametrize(("b", "c"), [(40, 52), (10, 25), (200, 160)])
def test_mcnemar_is_near_the_exact_test_of_many(b: int, c: int) -> None:
    """The mid-p of the binomial test, which the score test approaches."""
    n = b + c
    tail = stats.binom(n, 0.5)
    middle = 2 * tail.cdf(min(b, c)) - tail.pmf(min(b, c))
    assert compute_mcnemar(b, c) == pytest.approx(middle, rel=0.12)
    assert compute_mcnemar(b, c) == pytest.approx(compute_mcnemar(c, b))


@pytest.mark.parametrize("n", [20, 120, 1000])
def test_the_interval_excludes_none_where_the_test_finds_a_difference(n: int) -> None:
    for b, c in itertools.product(range(0, min(n // 2, 40), 3), repeat=2):
        low, high = interval_difference(b, c, n)
        assert low <= (c - b) / n <= high
        assert (low > 0 or high < 0) == (compute_mcnemar(b, c) < 0.05)


def test_the_interval_is_the_published_one() -> None:
    """Of 44 patients 43 got better under the first treatment alone (Tango 1998, example 2)."""
    low, high = interval_difference(43, 0, 44)
    assert (low, high) == pytest.approx((-0.996, -0.8185), abs=5e-4)


@pytest.mark.parametrize("n", [60, 300])
def test_a_difference_that_is_none_is_seldom_found(n: int) -> None:
    rng = np.random.default_rng(3)
    tables = rng.multinomial(n, (0.6, 0.1, 0.1, 0.2), 3000).tolist()
    found = np.mean([compute_mcnemar(b, c) < 0.05 for _, b, c, _ in tables])
    assert 0.04 <= found <= 0.06


def test_models_that_never_differ_have_p_1() -> None:
    assert compute_mcnemar(0, 0) == 1


def rejected(p_values: Sequence[float], alpha: float) -> set[int]:
    """Holm's procedure as he wrote it: from the smallest up, until one is not rejected."""
    out: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        out.add(index)
    return out


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=7))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_holms_adjusted_value_is_the_level_from_which_it_is_rejected(p_values: list[float]) -> None:
    for index, adjusted in enumerate(correct_holm(p_values)):
        if adjusted < 1:
            assert index in rejected(p_values, adjusted * (1 + 1e-9))
        assert index not in rejected(p_values, adjusted * (1 - 1e-9))


@pytest.mark.parametrize(
    ("cells", "n"),
    [
        ((0.6, 0.1, 0.1, 0.2), 100),
        ((0.85, 0.02, 0.06, 0.07), 150),
        ((0.3, 0.05, 0.3, 0.35), 60),
    ],
)
def test_the_interval_of_a_difference_covers_it(cells: tuple[float, ...], n: int) -> None:
    rng = np.random.default_rng(1)
    truth = cells[2] - cells[1]
    tables = rng.multinomial(n, cells, 3000).tolist()
    covered = 0
    for _, b, c, _ in tables:
        low, high = interval_difference(b, c, n)
        covered += low <= truth <= high
    assert 0.935 <= covered / len(tables) <= 0.985


def test_the_interval_of_a_difference_turns_around_with_the_models() -> None:
    low, high = interval_difference(5, 20, 100)
    assert interval_difference(20, 5, 100) == pytest.approx((-high, -low))
    assert interval_difference(0, 1, 1)[1] <= 1
    assert 0 < interval_difference(0, 0, 80)[1] < 0.05


@pytest.mark.parametrize(("share", "n"), [(0.1, 1000), (0.3, 400), (0.02, 5000)])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_a_detectable_difference_is_shown_four_times_in_five(
    share: float, n: int, alpha: float
) -> None:
    rng = np.random.default_rng(4)
    d = find_detectable(round(share * n), n, alpha)
    cells = ((share - d) / 2, (share + d) / 2, 1 - share)
    tables = rng.multinomial(n, cells, 1500)
    p_values = [compute_mcnemar(int(b), int(c)) for b, c, _ in tables]
    assert 0.74 <= np.mean(np.array(p_values) < alpha) <= 0.84  # the exact test asks a little more


def test_more_images_and_fewer_tests_show_smaller_differences() -> None:
    assert find_detectable(40, 400) > find_detectable(400, 4000)
    assert find_detectable(40, 400, 0.005) > find_detectable(40, 400)
    assert find_detectable(0, 3) == 1
    assert 0 < find_detectable(0, 1000) < 0.02


def make_correct(n: int = 400) -> dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    rng = np.random.default_rng(2)
    return {
        name: rng.random(n) < share for name, share in zip("abc", (0.6, 0.62, 0.9), strict=True)
    }


LABELS = {"a": "the first network", "b": "network B", "c": "runs/c"}


def test_few_pairs_are_compared_in_words_and_corrected_together() -> None:
    correct = make_correct()
    found = compare_pairs(correct, LABELS, lambda one, *names: f"{names} {one.only_first}")
    assert [(one.first, one.second) for one in found] == list(itertools.combinations("abc", 2))
    for one in found:
        first, second = correct[one.first], correct[one.second]
        assert one.difference == pytest.approx(second.mean() - first.mean())
        assert one.only_first == sum(a and not b for a, b in zip(first, second, strict=True))
        assert one.only_second == sum(b and not a for a, b in zip(first, second, strict=True))
        assert one.p_value == min(1.0, 3 * compute_mcnemar(one.only_first, one.only_second))
        assert (one.low, one.high) == interval_difference(
            one.only_first, one.only_second, 400, 0.05 / 3
        )
        assert one.n == 400 and one.named
        assert one.sentence == f"{(LABELS[one.first], LABELS[one.second])} {one.only_first}"


def test_what_was_named_beforehand_has_words_and_the_rest_a_table() -> None:
    found = compare_pairs(make_correct(), LABELS, lambda *_: "said", [("a", "c")])
    assert [(one.first, one.second) for one in found if one.named] == [("a", "c")]
    assert [one.sentence for one in found] == ["", "said", ""]
    rest = [one for one in found if not one.named]
    p_values = [compute_mcnemar(one.only_first, one.only_second) for one in rest]
    assert [one.p_value for one in rest] == correct_holm(p_values)
    ((one),) = [one for one in found if one.named]
    assert one.p_value == compute_mcnemar(one.only_first, one.only_second)


def test_copies_do_not_tell_models_apart() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random(120) < 0.7, rng.random(120) < 0.75
    ((alone),) = compare_pairs({"a": first, "b": second}, LABELS, lambda *_: "")
    groups = np.arange(120).repeat(6)
    copied = {"a": first.repeat(6), "b": second.repeat(6)}
    ((found),) = compare_pairs(copied, LABELS, lambda *_: "", groups=groups)
    assert found.effect == pytest.approx(6, rel=0.05)
    assert found.p_value == pytest.approx(alone.p_value, rel=0.1)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.005)
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)
    assert find_effect(first, second, np.arange(120)) == find_effect(first, second) == 1
    assert find_effect(first, second, np.zeros(120, np.int64)) == 120, "one group tells one thing"
    assert find_effect(first, first, groups[:120]) == 6, "and so does each of those of 6"


def test_one_model_has_nothing_to_be_compared_with() -> None:
    assert compare_pairs({"a": np.ones(3, bool)}, LABELS, lambda *_: "") == ()
