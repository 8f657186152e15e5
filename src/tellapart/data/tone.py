"""How values of any depth become 8 bits: one scale for a whole data set, chosen from its values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
USUAL_BITS = (1, 8, 10, 12, 14, 16, 31)
MIXED_BITS = 12
"""Bits up to which values of 8-bit images beside deeper ones are taken for the same units."""


class Depth(NamedTuple):
    """What values an image of more than 8 bits has: whole numbers or not, least and greatest."""

    whole: bool
    least: float
    most: float


class Tone(NamedTuple):
    """What becomes black and white; ``eight`` is white in grey images of 8 bits beside others.

    Transparent images lie on ``ground``, a grey of 0 to 255.
    """

    low: float = 0.0
    high: float = 65_535.0
    eight: float = 255.0
    ground: int = 255


PLAIN = Tone()


def measure_depth(values: NDArray[Any]) -> Depth:
    """Return the depth of values; what is not a number does not count."""
    if values.dtype.kind != "f":
        return Depth(True, float(values.min()), float(values.max()))
    finite = values[np.isfinite(values)]
    least, most = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return Depth(False, least, most)


def choose_tone(depths: list[Depth], shallow: int, ground: int = 255) -> tuple[Tone, str]:
    """Choose one scale for images of more than 8 bits, and say which; empty where there are none.

    Whole numbers are scaled by the bits that the greatest of them needs, fractions by 1 where none
    is above it, by 255 where they seem to be of bytes, and else by the greatest; what is below 0 by
    the least and the greatest.

    Args:
        depths: of each image of more than 8 bits.
        shallow: how many grey images of 8 bits there are beside them.
    """
    if not depths:
        return Tone(ground=ground), ""
    least, most = min(one.least for one in depths), max(one.most for one in depths)
    said = f"images of more than 8 bits: {len(depths):,}, with values from {least:g} to {most:g}"
    if not all(one.whole for one in depths):
        high = 1.0 if most <= 1 else 255.0 if 127 < most <= 255 else most
        low = 0.0 if least >= 0 else least
        tone = Tone(low, max(high, low + 1e-12), ground=ground)
        return tone, f"{said}: all are scaled so that {low:g} is black and {high:g} white"
    if least < 0:
        tone = Tone(least, max(most, least + 1), ground=ground)
        return tone, f"{said}: all are scaled so that {least:g} is black and {most:g} white"
    usual = USUAL_BITS[1:] if shallow else USUAL_BITS
    bits = next(one for one in usual if most < 2**one or one == usual[-1])
    high = float(2**bits - 1)
    said += f": all are scaled as {bits} bits, so that {high:,.0f} is white"
    if shallow and bits <= MIXED_BITS:
        said += f", those of 8 bits beside them ({shallow:,}) too"
        return Tone(0.0, high, high, ground), said
    if shallow:
        said += f"; in those of 8 bits beside them ({shallow:,}) 255 is white"
    return Tone(0.0, high, ground=ground), said


def scale_values(values: NDArray[Any], tone: Tone) -> Pixels:
    """Scale values of any kind to uint8, in the same shape; what is not a number is black."""
    numbers = values.astype(np.float32)
    if values.dtype.kind == "f":
        numbers[~np.isfinite(numbers)] = tone.low
    numbers -= np.float32(tone.low)
    numbers *= np.float32(255 / (tone.high - tone.low))
    scaled: Pixels = np.rint(numbers, out=numbers).clip(0, 255).astype(np.uint8)
    return scaled


def dim_table(tone: Tone) -> list[int]:
    """Return what each of the 256 values of a grey image of 8 bits becomes."""
    return [min(255, math.floor(value * 255 / tone.eight + 0.5)) for value in range(256)]
