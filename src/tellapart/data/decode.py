"""From a file to square uint8 pixels: one policy for training, prediction and export.

Pillow decodes; only the formats in ``FORMATS`` are tried. The EXIF orientation is applied,
transparency lies on white, grey of more than 8 bits is scaled to 8, the first frame stands
for an animation, and the whole image is squashed to a square with an antialiased bilinear
filter.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tellapart.data.dataset import Pixels
from tellapart.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif"),
        *(".png", ".apng", ".webp", ".gif"),
        *(".bmp", ".dib", ".tif", ".tiff"),
    )
)
GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
MOST_PIXELS = 80_000_000
MOST_BYTES = 512 * 2**20

_ORIENTATION = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_header(file: Path | bytes) -> tuple[int, int, str]:
    """Return (width, height, mode) as stored, before any EXIF orientation.

    No pixel is decoded, but the checksums of a PNG are checked: decoding passes over them.

    Raises:
        DataError: not an image of a known format, damaged, or too large.
    """
    with _open_image(file) as image:
        header = image.width, image.height, image.mode
        image.verify()
        return header


def decode_image(file: Path | bytes, size: int, channels: int) -> Pixels:
    """Decode an image, given by path or by content, to (size, size, channels) uint8.

    Args:
        file: a path, or the bytes of a file.
        size: side of the square, in pixels.
        channels: 1 for grey, 3 for RGB.

    Raises:
        DataError: the file is missing, damaged, too large or of an unknown format.
    """
    with _open_image(file) as image:
        if image.format in ("JPEG", "MPO"):
            # Decoding at a reduced size is several times faster; what is left is still at
            # least twice the target, so the antialiased filter below does the last step.
            image.draft(None, (2 * size, 2 * size))
        upright = _orient(image)
        plain = _convert(upright, "L" if channels == 1 else "RGB")
        small = plain.resize((size, size), Image.Resampling.BILINEAR)
        return np.array(small, np.uint8).reshape(size, size, channels)


@contextmanager
def _open_image(file: Path | bytes) -> Iterator[Image.Image]:
    name = f"{file.name}: " if isinstance(file, Path) else ""
    try:
        size = file.stat().st_size if isinstance(file, Path) else len(file)
        if not 0 < size <= MOST_BYTES:
            raise DataError(f"{name}a file of {size:,} bytes, allowed are 1 to {MOST_BYTES:,}")
        with Image.open(
            file if isinstance(file, Path) else io.BytesIO(file), formats=FORMATS
        ) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{name}{image.width} x {image.height} pixels, "
                    f"allowed are {MOST_PIXELS:,} in all"
                )
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}not an image in {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}too many pixels, allowed are {MOST_PIXELS:,}") from error
    except Exception as error:  # decoders raise anything on damaged content
        raise DataError(f"{name}truncated or damaged ({_shorten(error)})") from error


def _shorten(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:100]


def _orient(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata: the pixels are still good
        orientation = None
    image.load()
    transpose = _TRANSPOSES.get(orientation) if isinstance(orientation, int) else None
    return image if transpose is None else image.transpose(transpose)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(scale_grey(np.asarray(image))).convert(mode)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert(mode)
    if image.mode == mode:
        return image
    return image.convert("RGB").convert(mode)


def scale_grey(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Pixels:
    """Scale grey values of more than 8 bits, (height, width), to uint8.

    16-bit whole numbers are divided by 257. Wider ones count as 16-bit while they fit, else
    as 31-bit. Fractions within [0, 1] are multiplied by 255, within [0, 255] kept, and else
    stretched from their least to their greatest; what is not a number is black.
    """
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f":
        numbers = np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0)
        least, most = float(numbers.min()), float(numbers.max())
        if least >= 0 and most <= 1:
            numbers *= 255
        elif least < 0 or most > 255:
            numbers = (numbers - least) * (255 / (most - least or 1.0))
    else:
        wide = values.dtype.itemsize > 2 and numbers.max() > 65_535
        numbers /= 2**23 if wide else 257
    return np.rint(numbers).clip(0, 255).astype(np.uint8)
