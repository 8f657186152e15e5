"""Medical images in DICOM files (extra ``dicom``), as a viewer would show them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tellapart.data.tone import Tone, scale_values
from tellapart.errors import DataError

if TYPE_CHECKING:
    import pydicom

MARK, PLACE = b"DICM", 128
DEFLATED, HEADER = b"1.2.840.10008.1.2.1.99", 4096
"""The way to store pixels that is refused, and how far into a file it may be named."""


def is_dicom(head: bytes) -> bool:
    """Tell from its first 132 bytes whether a file is a DICOM file."""
    return head[PLACE : PLACE + len(MARK)] == MARK


def open_dicom(content: bytes, take: Callable[[int], AbstractContextManager[None]]) -> Image.Image:
    """Return the first frame: in 8 bits by the file's own window, else with its values as they are.

    Values are rescaled as the file says (to Hounsfield units, for a CT), and where low ones are
    white (MONOCHROME1) they are turned. ``info["patient"]`` has the patient's number.

    Args:
        take: waits for room for so many pixels; more than are allowed are refused.

    Raises:
        DataError: ``pydicom`` is not installed, or there are no pixels, or too many.
    """
    if DEFLATED in content[:HEADER]:  # which is unpacked before anything of it is known
        raise DataError("a deflated DICOM file, which is not read; write it in another way")
    try:
        from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    except ImportError:
        raise DataError("a DICOM file; to read it, pip install 'tellapart[dicom]'") from None
    found = _read(content)
    rows, columns = int(found.get("Rows", 0)), int(found.get("Columns", 0))
    frames = int(found.get("NumberOfFrames") or 1)
    if not rows or not columns or "PixelData" not in found:
        raise DataError("a DICOM file without an image")
    with take(rows * columns * frames):
        values: Any = found.pixel_array  # YBR is RGB by then
        values = values[0] if frames > 1 else values
        kind = str(found.get("PhotometricInterpretation", ""))
        if kind == "PALETTE COLOR":
            values = apply_color_lut(values, found)
        if values.ndim == 3:
            deep = values.dtype.itemsize > 1
            shades = values >> (8 * values.dtype.itemsize - 8) if deep else values
            image = Image.fromarray(np.ascontiguousarray(shades).astype(np.uint8))
        else:
            values, (low, high) = apply_modality_lut(values, found), _find_range(found)
            if "WindowWidth" in found or "VOILUTSequence" in found:
                shown = np.asarray(apply_voi_lut(values, found), np.float32)
                values, low, high = scale_values(shown, Tone(low, high)), 0, 255
            if kind == "MONOCHROME1":
                values = low + high - values
            plain = values.dtype == np.uint8
            image = Image.fromarray(values if plain else values.astype(np.float32))
    image.info["patient"] = str(found.get("PatientID") or "")
    return image


def _read(content: bytes) -> pydicom.Dataset:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(io.BytesIO(content))
    except InvalidDicomError as error:
        raise DataError(f"a damaged DICOM file ({error})") from error


def _find_range(found: pydicom.Dataset) -> tuple[float, float]:
    """Return what black and white are where a window or a table of values was applied."""
    if "VOILUTSequence" in found:
        return 0.0, float(2 ** int(found.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    stored = int(found.get("BitsStored", 8))
    low = -(2 ** (stored - 1)) if int(found.get("PixelRepresentation", 0)) else 0
    slope, offset = float(found.get("RescaleSlope", 1)), float(found.get("RescaleIntercept", 0))
    return slope * low + offset, slope * (low + 2**stored - 1) + offset
