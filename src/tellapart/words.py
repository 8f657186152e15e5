"""How names are written: without control characters, short, in whatever script they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

# Faces that carry the scripts DejaVu lacks; only those the machine has are asked for.
FACES = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic",
    "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Noto Emoji",
)  # fmt: skip
PLAIN = "DejaVu Sans"  # comes with matplotlib

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of a line."""


def show_controls(text: str, lines: bool = False) -> str:
    r"""Return a text with its control characters as escapes.

    Args:
        lines: whether line breaks are the text's own, and stay.

    >>> show_controls("\x1b]0;title\x07.png")
    '\\x1b]0;title\\x07.png'
    """

    def escape_one(found: re.Match[str]) -> str:
        one = found.group()
        return one if lines and one == "\n" else one.encode("unicode_escape").decode()

    return _CONTROLS.sub(escape_one, text)


@cache
def list_faces() -> dict[str, str]:
    """Return the faces that this machine has, and the file of each; ``PLAIN`` is the first."""
    from matplotlib import font_manager

    known = set(font_manager.fontManager.get_font_names())
    names = (PLAIN, *(face for face in FACES if face in known))
    return {name: str(font_manager.findfont(name)) for name in names}


@cache
def _list_signs(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(file).get_charmap())


def choose_face(text: str) -> tuple[str, str]:
    """Return the file of a face that has all signs of a text, and the text as it can draw it.

    Where no single face has them all, it is ``PLAIN``, and signs that it lacks are transliterated.
    """
    files = list(list_faces().values())
    for file in files:
        if all(ord(sign) in _list_signs(file) for sign in text):
            return file, text
    return files[0], _spell(text, files[:1])


def _spell(text: str, files: Sequence[str]) -> str:
    """Return a text whose signs the faces have; others in Latin letters, emoji by their names."""
    from anyascii import anyascii

    known = [_list_signs(file) for file in files]
    return "".join(
        sign if any(ord(sign) in signs for signs in known) else anyascii(sign) for sign in text
    )


def shorten_name(text: str, limit: int = 24) -> str:
    """Make a name safe and short for a figure: one line, an ellipsis in the middle.

    Signs that no face of this machine has are transliterated.

    >>> shorten_name("a very long name of a class of things", 15)
    'a very … things'
    """
    printed = "".join(sign if sign.isprintable() else " " for sign in text)
    spelled = _spell(printed, list(list_faces().values()))
    line = " ".join(spelled.split()) or "(unnamed)"
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
