"""From a file to square uint8 pixels: one policy for training, prediction and export.

Pillow decodes; only the formats in ``FORMATS`` are tried. The EXIF orientation is applied,
transparency lies on a plain ground, grey of more than 8 bits is scaled to 8 (`tone`), the first
frame stands for an animation, and the whole image is squashed to a square with an antialiased
bilinear filter.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from tellapart.data.content import Room, check_bytes
from tellapart.data.dataset import Pixels
from tellapart.data.dicom import is_dicom, open_dicom
from tellapart.data.tone import PLAIN, Depth, Tone, dim_table, measure_depth, scale_values
from tellapart.errors import DataError

FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"),
    *(("JPEG2000",) if features.check("jpg_2000") else ()),
    *(("AVIF",) if features.check("avif") else ()),
    *(("HEIF",) if find_spec("pillow_heif") else ()),
)
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif"),
    *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".jp2", ".j2k", ".jpx", ".avif", ".dcm", ".dicom"),
    *((".heic", ".heif", ".hif") if "HEIF" in FORMATS else ()),
}
EXTRAS = {".heic": "heic", ".heif": "heic", ".hif": "heic"}
"""Endings of files that an extra reads, and which."""
HEAD = 132
"""Bytes at the beginning of a file that tell what it is."""
if "HEIF" in FORMATS:
    __import__("pillow_heif").register_heif_opener()
GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
MOST_PIXELS = 80_000_000
GROUNDS = (255, 0, 128)
"""What transparent images may lie on, the likeliest first: white, black, grey."""
SEEN, FAINT = 64, 8
"""The side at which it is seen whether an image shows anything, and shades that are nothing."""


_TOO_LARGE = f"{{:,}} pixels, at most {MOST_PIXELS:,} are allowed"
_UPRIGHT = (
    *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
    *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE),
    Image.Transpose.ROTATE_90,
)
"""What turns an image upright, for the orientations from 2 on."""


_PIXELS = Room(MOST_PIXELS)
"""Taken after the bytes of a file, never before, so that nobody waits in a circle."""


def looks_like_image(head: bytes) -> bool:
    """Tell from the first ``HEAD`` bytes of a file whether it is in one of ``FORMATS``.

    >>> looks_like_image(b"P5 10 10 255 ...."), looks_like_image(b"Plain text, it is")
    (True, False)
    """
    fixed = (
        *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
        *(b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    )
    return (
        head.startswith(fixed)
        or is_dicom(head)
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypavif", b"ftypavis")
        or (head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1") and "HEIF" in FORMATS)
        or (head.startswith(b"BM") and head[6:10] == bytes(4))
        or re.match(rb"P[1-6]\s+[\d#]", head) is not None
    )


@dataclass(frozen=True)
class Look:
    """What a first look at an image says: its size and mode as stored, before any orientation.

    ``depth`` is known of grey of more than 8 bits. ``clear`` images have transparent parts, and
    show nothing on the ``GROUNDS`` that ``vanishing`` lists. ``patient`` is known of medical
    images.
    """

    width: int
    height: int
    mode: str
    depth: Depth | None = None
    clear: bool = False
    vanishing: tuple[int, ...] = ()
    patient: str = ""


def look_at(content: bytes) -> Look:
    """Look at an image. Pixels are decoded where their depth or transparency has to be known.

    The checksums of a PNG are checked, which decoding passes over.

    Raises:
        DataError: not an image of a known format, damaged, or too large.
    """
    with _open_image(content) as image:
        found = Look(
            image.width,
            image.height,
            image.mode,
            clear=image.has_transparency_data,
            patient=image.info.get("patient", ""),
        )
        image.verify()
    deep = found.mode.startswith("I") or found.mode == "F"
    if not deep and not found.clear:
        return found
    with _open_image(content) as image, _PIXELS.take(image.width * image.height):
        image.load()
        if deep:
            return replace(found, depth=measure_depth(np.asarray(image)))
        small = image.convert("RGBA").resize((SEEN, SEEN), Image.Resampling.BILINEAR)
        shades = {
            ground: np.asarray(_lay_on(small, ground).convert("RGB"), np.int16)
            for ground in GROUNDS
        }
        gone = (ground for ground, one in shades.items() if np.ptp(one, axis=(0, 1)).max() < FAINT)
        return replace(found, vanishing=tuple(gone))


def decode_image(content: bytes, size: int, channels: int, tone: Tone = PLAIN) -> Pixels:
    """Decode an image, given as the bytes of its file, to (size, size, channels) uint8.

    Args:
        size: side of the square, in pixels.
        channels: 1 for grey, 3 for RGB.
        tone: what becomes black and white, and the ground of transparent images.

    Raises:
        DataError: the content is damaged, too large or of an unknown format.
        MemoryError: there is no room to decode it.
    """
    with _open_image(content) as image:
        pixels = image.width * image.height
        if image.format in ("JPEG", "MPO"):
            # Decoding at a reduced size is several times faster; what is left is still at
            # least twice the target, so the antialiased filter below does the last step.
            image.draft(None, (2 * size, 2 * size))
            if "progressive" not in image.info:  # those are held whole, whatever is asked for
                pixels = image.width * image.height
        with _PIXELS.take(pixels):
            image.load()
            orientation = _read_orientation(image)
            small = _shrink(image, size, "L" if channels == 1 else "RGB", tone)
            if 2 <= orientation <= 8:
                small = small.transpose(_UPRIGHT[orientation - 2])
            return np.array(small, np.uint8).reshape(size, size, channels)


@contextmanager
def _take_pixels(count: int) -> Iterator[None]:
    if count > MOST_PIXELS:
        raise DataError(_TOO_LARGE.format(count))
    with _PIXELS.take(count):
        yield


@contextmanager
def _open_image(content: bytes) -> Iterator[Image.Image]:
    try:
        check_bytes(len(content))
        if is_dicom(content):
            yield open_dicom(content, _take_pixels)
            return
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(_TOO_LARGE.format(image.width * image.height))
            yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        if looks_like_image(content[:HEAD]):
            raise DataError("damaged before its pixels begin") from error
        raise DataError(f"not an image in {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        count = int(re.findall(r"\d+", str(error))[0])  # Pillow names it first
        raise DataError(_TOO_LARGE.format(count)) from error
    except Exception as error:  # decoders raise anything on damaged content
        if "out of memory" in str(error).casefold():  # as Pillow says it
            raise MemoryError(str(error)) from error
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"truncated or damaged ({' '.join(text.split())[:100]})") from error


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation that is left to apply; Pillow turns a TIFF as it loads it."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata: the pixels are still good
        return 1


def _shrink(image: Image.Image, size: int, mode: str, tone: Tone) -> Image.Image:
    """Squash a loaded image to a square of ``size``, in ``mode``.

    It is resized as early as its mode allows: every conversion of the whole is one more copy.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(scale_values(np.asarray(image), tone))
    elif image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
    elif image.mode == "L" and tone.eight != PLAIN.eight:
        image = image.point(dim_table(tone))
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    small = image.resize((size, size), Image.Resampling.BILINEAR)
    if small.mode == "RGBA":
        small = _lay_on(small, tone.ground)
    return small.convert(mode)


def _lay_on(image: Image.Image, ground: int) -> Image.Image:
    """Lay a transparent image on a grey ground."""
    return Image.alpha_composite(Image.new("RGBA", image.size, (ground, ground, ground)), image)
