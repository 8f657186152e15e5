"""Photographs in the page: sheets of them that steps wrote, as WebP, a fifth of a PNG's bytes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def open_sheet(folder: Path, file: str) -> Image | None:
    """Return a PNG if it is one, and within the folder."""
    from PIL import Image

    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def embed_picture(image: Image, quality: int = 85) -> str:
    """Return the address of a picture that the page carries."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
