"""Images to look at: enlarged, under a heat map, with text that fits beside them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tellapart.data.dataset import Pixels
from tellapart.words import choose_font, shorten_name

Numbers = NDArray[np.float32]
PALE, WARM, OPAQUE = 0.4, (225, 70, 0), 0.75
"""Of a heat map: how much of its own colour an image keeps, the colour of evidence, and how much
that covers where there is most."""
COARSE = 40
"""Images up to so many pixels wide are enlarged pixel by pixel, others smoothly."""
LONGEST = 200
"""Characters of a text that is drawn, at most."""


def overlay_heat(pixels: Pixels, heat: Numbers | None, side: int) -> Image.Image:
    """Return an image paled, and where (h, w) heat from 0 to 1 is, in red."""
    image = enlarge_image(pixels, side)
    if heat is None:
        return image
    smooth = Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(smooth, np.float32), 0, 1)[:, :, None]
    grey = np.asarray(image.convert("L"), np.float32)[:, :, None]
    pale = PALE * np.asarray(image, np.float32) + (1 - PALE) * grey
    mixed = pale * (1 - OPAQUE * share) + np.array(WARM, np.float32) * OPAQUE * share
    return Image.fromarray(mixed.round().astype(np.uint8))


def enlarge_image(pixels: Pixels, side: int) -> Image.Image:
    """Return (h, w, 1 or 3) uint8 as a picture ``side`` pixels wide and high."""
    tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    if tile.width > COARSE:
        return tile.resize((side, side), Image.Resampling.LANCZOS)
    times = -(-side // tile.width)
    whole = tile.resize((times * tile.width, times * tile.height), Image.Resampling.NEAREST)
    return whole.resize((side, side), Image.Resampling.BOX)


def open_picture(picture: bytes, side: int) -> Image.Image:
    """Return a small JPEG of a training image, ``side`` pixels wide and high."""
    with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
        return enlarge_image(np.atleast_3d(np.asarray(image)), side)


class Text:
    """A text in lines of a width in pixels, cut in its middle where ``most`` do not suffice."""

    def __init__(self, text: str, size: int, width: int, most: int = 2) -> None:
        file, whole = choose_font(shorten_name(text, LONGEST))
        self.font, self.size = ImageFont.truetype(file, size), size
        self.lines = self._break(whole, width)
        length = round(1.1 * most * width * len(whole) / max(1.0, self.font.getlength(whole)))
        while len(self.lines) > most and length > 4:
            self.lines = self._break(shorten_name(whole, length), width)
            length -= max(1, length // 20)

    @property
    def height(self) -> int:
        """Pixels from the top of its first line to where another text may begin."""
        return len(self.lines) * round(1.25 * self.size)

    def draw(self, sheet: Image.Image, at: tuple[int, int], ink: str) -> int:
        """Draw it with its upper left corner there; return where another text may begin."""
        draw = ImageDraw.Draw(sheet)
        for number, line in enumerate(self.lines):
            place = (at[0], at[1] + number * round(1.25 * self.size))
            draw.text(place, line, ink, self.font)
        return at[1] + self.height

    def _break(self, text: str, width: int) -> list[str]:
        lines = [""]
        for word in text.split(" "):
            joined = f"{lines[-1]} {word}".strip()
            if self.font.getlength(joined) <= width:
                lines[-1] = joined
                continue
            lines.append(word)
            while self.font.getlength(lines[-1]) > width and len(lines[-1]) > 1:
                long, count = lines[-1], len(lines[-1]) - 1
                while count > 1 and self.font.getlength(long[:count]) > width:
                    count -= 1
                lines[-1:] = [long[:count], long[count:]]
        return [line for line in lines if line]
