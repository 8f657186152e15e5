"""What runs a backbone: OpenVINO on CPUs; PyTorch on GPUs, and as the reference."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

from tellapart.data.dataset import Pixels
from tellapart.device import DeviceName, Precision, choose_device, choose_precision, count_cores
from tellapart.models.backbone import Backbone
from tellapart.transfer.resources import Load
from tellapart.transfer.store import Rows16


def convert_network(network: nn.Module, sample: Pixels) -> Any:
    """Return OpenVINO's form of a network that takes (n, h, w, channels) uint8, for any n."""
    # its telemetry would fork this process, memory and all, to send data home
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None bars it
    import openvino

    # traced on one image and without gradients: the trace keeps what every layer put out
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: all but the batch is fixed on purpose
        return openvino.convert_model(
            network, example_input=torch.from_numpy(sample[:1]), input=[-1, *sample.shape[1:]]
        )


def compile_network(
    network: nn.Module, sample: Pixels, precision: Precision, streams: int | None = None
) -> Any:
    """Return a network compiled by OpenVINO for this CPU, for many images at once."""
    model = convert_network(network, sample)
    import openvino

    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": count_cores(),
    }
    if streams is not None:
        settings["NUM_STREAMS"] = streams
    return openvino.Core().compile_model(model, "CPU", settings)


class OpenvinoEngine:
    """The backbone compiled by OpenVINO, several batches in flight: the fast way on CPUs."""

    def __init__(self, backbone: Backbone, sample: Pixels, streams: int | None = None) -> None:
        """Compile a backbone for any number of images such as the one of ``sample``."""
        self.name = name_engine("cpu")
        precision: Precision = "bfloat16" if self.name.endswith("bfloat16") else "float32"
        compiled = compile_network(backbone.network, sample, precision, streams)
        import openvino

        self._queue = openvino.AsyncInferQueue(compiled)

    def compute(self, batches: Iterator[Pixels]) -> Rows16:
        """Return (k, features) float16 for the batches in order."""
        found: dict[int, Rows16] = {}

        def keep(request: Any, number: int) -> None:
            with np.errstate(over="ignore"):  # what becomes infinite is refused with its image
                found[number] = request.get_output_tensor(0).data.astype(np.float16)

        self._queue.set_callback(keep)
        for number, pixels in enumerate(batches):
            self._queue.start_async({0: pixels}, number)
        self._queue.wait_all()
        return np.concatenate([found[number] for number in range(len(found))])


class TorchEngine:
    """The backbone in PyTorch, in float32: the reference, and the way on GPUs.

    On a GPU features stay there until the end. Its bfloat16 is 1.5 times as fast there, but rounds
    before norms are folded in: MobileNetV2's features are others then (cosine down to 0.87).
    """

    def __init__(self, backbone: Backbone, device: DeviceName) -> None:
        self._device = choose_device(device)
        self.name = f"torch {version('torch').split('+')[0]} {self._device.type} float32"
        # a copy, for the backbone at another resolution has these weights too: they stay there
        network = deepcopy(backbone.network)
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def compute(self, batches: Iterator[Pixels]) -> Rows16:
        """Return (k, features) float16 for the batches in order."""
        with torch.inference_mode():
            found = [
                self._network(torch.from_numpy(pixels).to(self._device)).half()
                for pixels in batches
            ]
            return torch.cat(found).cpu().numpy()


Engine = OpenvinoEngine | TorchEngine
"""Runs a backbone over pixels; ``name`` has its version and number format."""


def name_engine(device: DeviceName) -> str:
    """Return the name of a device's engine, unless a network is beyond that."""
    chosen = choose_device(device)
    if chosen.type == "cpu":
        return f"openvino {version('openvino')} {choose_precision(chosen)}"
    return f"torch {version('torch').split('+')[0]} {chosen.type} float32"


def make_engine(backbone: Backbone, sample: Pixels, device: DeviceName, load: Load) -> Engine:
    """Return OpenVINO on a CPU, PyTorch on any other device, and for what OpenVINO cannot compile.

    ``sample`` is (1, h, w, channels) uint8, an image such as will come.
    """
    if choose_device(device).type == "cpu":
        try:
            return OpenvinoEngine(backbone, sample, load.streams)
        except Exception as error:  # its converter raises anything on what it does not know
            if isinstance(error, MemoryError | OSError):
                raise
    return TorchEngine(backbone, device)
