"""Names are drawn, or transliterated, and stay apart."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.ft2font import FT2Font

from tellapart.report.canvas import render_png
from tellapart.report.plots import plot_confusion
from tellapart.words import PLAIN, choose_font, list_fonts, shorten_name, shorten_names

NAMES = ("猫", "日本語", "한국어", "😀🐱", "العربية", "हिन्दी", "ꯃꯤꯇꯩ", "\U000e0001", "Привет $x$")


@pytest.fixture
def plain_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no other face than matplotlib's own."""
    file = list_fonts()[PLAIN]
    monkeypatch.setattr("tellapart.words.list_fonts", lambda: {PLAIN: file})


@pytest.mark.parametrize("name", NAMES)
def test_every_sign_of_a_name_is_in_the_face_that_draws_it(name: str) -> None:
    file, text = choose_font(name)
    signs = FT2Font(file).get_charmap()
    assert all(ord(sign) in signs for sign in text)


@pytest.mark.usefixtures("plain_only")
def test_names_that_no_face_has_are_transliterated() -> None:
    assert [shorten_name(name) for name in ("猫", "日本語 1", "Привет")] == [
        "Mao",
        "RiBenYu 1",
        "Привет",
    ]


def test_figures_of_names_in_any_script_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_png(plot_confusion(NAMES, [[1] * len(NAMES)] * len(NAMES), normalized=True))


def test_names_that_are_cut_alike_stay_apart() -> None:
    long = [f"a kind of mushroom, number {number}, of the forest" for number in range(12)]
    assert len(set(shorten_names(long, 16))) == 12
    assert shorten_names(["cat", "dog"]) == ["cat", "dog"]


@pytest.mark.usefixtures("plain_only")
def test_names_that_are_spelled_alike_stay_apart() -> None:
    assert shorten_names(["猫", "毛", "犬"]) == ["Mao (1)", "Mao (2)", "Quan"]


@pytest.mark.parametrize(("name", "said"), [("a\nb\t c", "a b c"), ("", "(unnamed)")])
def test_a_name_is_one_line(name: str, said: str) -> None:
    assert shorten_name(name) == said
