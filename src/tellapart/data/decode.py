"""From a file to square uint8 pixels: one policy for training, prediction and export.

Pillow decodes; only the formats in ``FORMATS`` are tried. The EXIF orientation is applied,
transparency lies on white, grey of more than 8 bits is scaled to 8, the first frame stands
for an animation, and the whole image is squashed to a square with an antialiased bilinear
filter.
"""

from __future__ import annotations

import errno
import io
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tellapart.data.dataset import Pixels
from tellapart.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif"),
    *(".bmp", ".dib", ".tif", ".tiff"),
}
GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
MOST_PIXELS = 80_000_000
MOST_BYTES = 512 * 2**20


_TOO_LARGE = f"{{:,}} pixels, at most {MOST_PIXELS:,} are allowed"
_UPRIGHT = (
    *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
    *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE),
    Image.Transpose.ROTATE_90,
)
"""What turns an image upright, for the orientations from 2 on."""


class _Room:
    """What threads share; who needs more than is left waits."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._left += wanted
                self._changed.notify_all()


# However many cores decode, they hold no more at one time than the largest file and the largest
# image that are allowed. Bytes are taken before pixels, never after, so nobody waits in a circle.
_BYTES = _Room(MOST_BYTES)
_PIXELS = _Room(MOST_PIXELS)


@contextmanager
def open_content(path: Path) -> Iterator[bytes]:
    """Give the bytes of a file, for the length of a ``with`` block.

    Raises:
        DataError: there is no such file, it may not be read, is not a regular file or too large.
        OSError: what `explain_unreadable` raises.
    """
    with ExitStack() as held:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # to open a FIFO or a device may never end
                raise DataError("not a regular file")
            _check_bytes(status.st_size)
            held.enter_context(_BYTES.take(status.st_size))
            with open(path, "rb") as stream:
                content = stream.read(status.st_size)
        except OSError as error:
            raise DataError(explain_unreadable(error)) from error
        yield content


def _check_bytes(count: int) -> None:
    if not 0 < count <= MOST_BYTES:
        raise DataError(f"a file of {count:,} bytes, but it must have 1 to {MOST_BYTES:,}")


def explain_unreadable(error: OSError) -> str:
    """Return why a file or folder cannot be read, where the cause lies in itself.

    Raises:
        OSError: the cause lies elsewhere and may pass, such as too many open files.
    """
    own = (PermissionError, FileNotFoundError, NotADirectoryError)
    if isinstance(error, own) or error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
        return f"cannot be read ({error.strerror})"
    raise error


def read_header(content: bytes) -> tuple[int, int, str]:
    """Return (width, height, mode) as stored, before any EXIF orientation.

    No pixel is decoded, but the checksums of a PNG are checked: decoding passes over them.

    Raises:
        DataError: not an image of a known format, damaged, or too large.
    """
    with _open_image(content) as image:
        header = image.width, image.height, image.mode
        image.verify()
        return header


def decode_image(content: bytes, size: int, channels: int) -> Pixels:
    """Decode an image, given as the bytes of its file, to (size, size, channels) uint8.

    Args:
        size: side of the square, in pixels.
        channels: 1 for grey, 3 for RGB.

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
            small = _shrink(image, size, "L" if channels == 1 else "RGB")
            if 2 <= orientation <= 8:
                small = small.transpose(_UPRIGHT[orientation - 2])
            return np.array(small, np.uint8).reshape(size, size, channels)


@contextmanager
def _open_image(content: bytes) -> Iterator[Image.Image]:
    try:
        _check_bytes(len(content))
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(_TOO_LARGE.format(image.width * image.height))
            yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
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


def _shrink(image: Image.Image, size: int, mode: str) -> Image.Image:
    """Squash a loaded image to a square of ``size``, in ``mode``.

    It is resized as early as its mode allows: every conversion of the whole is one more copy.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(scale_grey(np.asarray(image)))
    elif image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    small = image.resize((size, size), Image.Resampling.BILINEAR)
    if small.mode == "RGBA":
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    return small.convert(mode)


def scale_grey(values: NDArray[Any]) -> Pixels:
    """Scale grey values of more than 8 bits, (height, width), to uint8.

    16-bit whole numbers are divided by 257. Wider ones count as 16-bit while they fit, else
    as 31-bit. Fractions within [0, 1] are multiplied by 255, within [0, 255] kept, and else
    stretched from their least to their greatest; what is not a number is black.
    """
    if values.dtype.kind != "f":
        top = 2**23 if values.max() > 65_535 else 257
        numbers = values / np.float32(top)
    else:
        numbers = np.where(np.isfinite(values), values, np.float32(0))
        least, most = float(numbers.min()), float(numbers.max())
        if least >= 0 and most <= 1:
            numbers *= 255
        elif least < 0 or most > 255:
            numbers = (numbers - least) * (255 / (most - least or 1.0))
    scaled: Pixels = np.rint(numbers, out=numbers).clip(0, 255).astype(np.uint8)
    return scaled
