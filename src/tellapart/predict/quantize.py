"""Weights of 8 bits: smaller files, faster on many processors, and what they cost in accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Indices, Pixels
from tellapart.metrics.comparisons import interval_difference
from tellapart.predict.convert import INPUT, keep_quiet
from tellapart.predict.engines import Numbers
from tellapart.workspace import write_bytes

BATCH, SCALED = 16, 250
"""Images at once, and pictures that choose the scales of numbers, at most."""
APART = "Softmax"
"""Operators that stay in float32: what they give are the probabilities."""


class _Reader:
    """Hands images to the quantiser, some at a time."""

    def __init__(self, pixels: Pixels) -> None:
        self._parts = iter([pixels[at : at + BATCH] for at in range(0, len(pixels), BATCH)])

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next images, by the name of the model's input; None after the last."""
        part = next(self._parts, None)
        return None if part is None else {INPUT: part}


@dataclass(frozen=True)
class Loss:
    """What 8 bits cost, on ``pictures`` of training that did not choose the scales.

    ``same`` of them get the class that the network gives them. ``before`` and ``after`` are the
    accuracies, ``low`` to ``high`` the 95 % interval of their difference, by Tango, for the
    pictures are the same.
    """

    pictures: int
    same: int
    before: float
    after: float
    low: float
    high: float


def split_rows(count: int) -> tuple[Indices, Indices]:
    """Return the pictures, of so many, that choose scales, and those that 8 bits are measured on.

    Every second or later one: their order may be that of the classes.
    """
    rows = np.arange(count)
    scaled = rows[:: max(2, -(-count // SCALED))]
    return scaled, np.setdiff1d(rows, scaled)


def measure_loss(before: Numbers, after: Numbers, labels: NDArray[np.int64]) -> Loss:
    """Compare (n, classes) probabilities of the network with those of 8 bits."""
    first, second = before.argmax(1), after.argmax(1)
    right, still = first == labels, second == labels
    count = len(labels)
    lost, won = int((right & ~still).sum()), int((still & ~right).sum())
    low, high = interval_difference(lost, won, count)
    same = int((first == second).sum())
    return Loss(count, same, float(right.mean()), float(still.mean()), low, high)


def quantize_onnx(content: bytes, pixels: Pixels) -> bytes:
    """Return an ONNX file whose weights, and what they meet, are of 8 bits.

    The weights of each filter have a scale of their own; that of what they meet is taken from the
    least and greatest number that (n, size, size, channels) images bring about.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.registry import QDQRegistry

    with TemporaryDirectory(prefix="tellapart-") as place, keep_quiet():
        source, target = Path(place) / "float.onnx", Path(place) / "int8.onnx"
        write_bytes(source, content)
        quantize_static(
            source,
            target,
            _Reader(pixels),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=[name for name in QDQRegistry if name != APART],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()
