"""What runs a model: PyTorch for a few images and on GPUs, OpenVINO for many on CPUs, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Pixels
from tellapart.device import DeviceName, choose_device, count_cores

if TYPE_CHECKING:
    from tellapart.predict.network import PixelClassifier

FEW_PIXELS = 5_000_000
"""Pixels that a network sees in all, from which on OpenVINO is worth its compilation: 100 images of
224 px, 5,000 of 32."""

Numbers = NDArray[np.float32]
KEY = "tellapart"
"""Where an exported file keeps all that is known of its model."""
Seen = tuple[Numbers, Numbers | None]
"""(k, classes) probabilities, and (k, width) features where the model gives them."""


class Engine(Protocol):
    """Runs a model over batches of (n, size, size, channels) uint8."""

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        """Return what it makes of all their images, in order, in float32."""
        ...


class TorchEngine:
    """PyTorch, in float32."""

    def __init__(self, network: PixelClassifier, device: DeviceName) -> None:
        self._device = choose_device(device)
        self._network = network.to(self._device)

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        import torch

        with torch.inference_mode():
            found = [
                [part.float().cpu().numpy() for part in self._network(images)]
                for images in (torch.from_numpy(one).to(self._device) for one in batches)
            ]
        probabilities, features = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return probabilities, features


class OpenvinoEngine:
    """OpenVINO on a CPU, several batches in flight."""

    def __init__(self, compiled: Any) -> None:
        import openvino

        self._queue = openvino.AsyncInferQueue(compiled)
        self._outputs = len(compiled.outputs)

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        found: dict[int, list[Numbers]] = {}

        def keep(request: Any, number: int) -> None:
            found[number] = [
                request.get_output_tensor(place).data.copy() for place in range(self._outputs)
            ]

        self._queue.set_callback(keep)
        for number, pixels in enumerate(batches):
            self._queue.start_async({0: pixels}, number)
        self._queue.wait_all()
        ordered = zip(*(found[number] for number in range(len(found))), strict=True)
        probabilities, *features = (np.concatenate(parts) for parts in ordered)
        return probabilities, features[0] if features else None


class OnnxEngine:
    """onnxruntime on a CPU: an exported file, without PyTorch."""

    def __init__(self, content: bytes) -> None:
        """Take a file that `read_entries` found whole; a ValueError if it has not one output."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_cores()
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")  # no other is tried
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        if len(self._session.get_inputs()) != 1 or len(self._session.get_outputs()) != 1:
            raise ValueError("it must have one input and one output")

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        name = self._session.get_inputs()[0].name
        found = [self._session.run(None, {name: pixels})[0] for pixels in batches]
        return np.concatenate(found), None


def choose_engine(
    network: PixelClassifier, sample: Pixels, pixels: int, device: DeviceName
) -> Engine:
    """Return what runs a network over so many ``pixels`` in all, in float32.

    What it gives is then the same anywhere. ``sample`` is (1, size, size, channels) uint8.

    Raises:
        DeviceError: the device is not on this machine.
    """
    if choose_device(device).type != "cpu" or pixels < FEW_PIXELS:
        return TorchEngine(network, device)
    from tellapart.transfer.engines import compile_network

    try:
        return OpenvinoEngine(compile_network(network, sample, "float32"))
    except Exception as error:  # its converter raises anything on what it does not know
        if isinstance(error, MemoryError | OSError):
            raise
        return TorchEngine(network, device)


def open_openvino(model: Any) -> OpenvinoEngine:
    """Return a model that OpenVINO has read, compiled in float32.

    Raises:
        ValueError: it does not take one input of bytes to one output.
    """
    import openvino

    kinds = [one.element_type.to_string() for one in model.inputs]
    if kinds != ["u8"] or len(model.outputs) != 1:
        raise ValueError("it must take uint8 pixels, and give one output")
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    return OpenvinoEngine(openvino.Core().compile_model(model, "CPU", settings))
