"""How names are written: without control characters, short, in whatever script they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

# Fonts that carry the scripts DejaVu lacks; only those the machine has are asked for.
FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic",
    "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Noto Emoji",
)  # fmt: skip
PLAIN = "DejaVu Sans"  # comes with matplotlib

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of a line."""


def show_controls(text: str, lines: bool = False) -> str:
    r"""Return a text with its control characters as escapes; with ``lines``, line breaks stay.

    >>> show_controls("\x1b]0;title\x07.png")
    '\\x1b]0;title\\x07.png'
    """

    def escape_one(found: re.Match[str]) -> str:
        one = found.group()
        return one if lines and one == "\n" else one.encode("unicode_escape").decode()

    return _CONTROLS.sub(escape_one, text)


@cache
def list_fonts() -> dict[str, str]:
    """Return the fonts that this machine has, and the file of each; ``PLAIN`` is the first."""
    from matplotlib import font_manager

    known = set(font_manager.fontManager.get_font_names())
    names = (PLAIN, *(font for font in FONTS if font in known))
    return {name: str(font_manager.findfont(name)) for name in names}


@cache
def _list_characters(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(file).get_charmap())


def choose_font(text: str) -> tuple[str, str]:
    """Return the file of a font that has all characters of a text, and the text as it can draw it.

    Where no single font has them all, it is ``PLAIN``, and others are transliterated.
    """
    files = list(list_fonts().values())
    for file in files:
        if _list_characters(file).issuperset(map(ord, text)):
            return file, text
    return files[0], _spell(text, files[:1])


def _spell(text: str, files: Sequence[str]) -> str:
    """Return a text with what these fonts lack in Latin letters, and emoji by their names."""
    from anyascii import anyascii

    known = frozenset().union(*map(_list_characters, files))
    return "".join(sign if ord(sign) in known else anyascii(sign) for sign in text)


def shorten_name(text: str, limit: int = 24) -> str:
    """Make a name safe and short for a figure: one line, an ellipsis in the middle.

    Characters that no font of this machine has are transliterated.

    >>> shorten_name("a very long name of a class of things", 15)
    'a very … things'
    """
    printed = "".join(sign if sign.isprintable() else " " for sign in text)
    line = " ".join(_spell(printed, list(list_fonts().values())).split()) or "(unnamed)"
    if len(line) > limit:
        head = (limit - 1) // 2
        line = f"{line[:head]}…{line[-(limit - 1 - head) :]}"
    return line


def shorten_names(names: Sequence[str], limit: int = 24) -> list[str]:
    """Shorten names so that no two are alike: those that would be are numbered.

    >>> shorten_names(["a long name, red", "a long game, red", "cat"], 7)
    ['a l…red (1)', 'a l…red (2)', 'cat']
    """
    short = [shorten_name(name, limit) for name in names]
    count, seen = Counter(short), Counter[str]()
    for place, name in enumerate(short):
        if count[name] > 1:
            seen[name] += 1
            short[place] = f"{name} ({seen[name]})"
    return short
