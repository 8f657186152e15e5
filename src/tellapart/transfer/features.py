"""Features of a frozen backbone: computed once, in bounded memory, kept on disk in parts.

The folder of a set of features is named by everything they depend on: the weights and
preprocessing of the backbone, the engine and its precision, the decoder, and every image.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.device import DeviceName, choose_device, choose_precision, count_cores
from tellapart.models.backbone import Backbone
from tellapart.stop import check_stop
from tellapart.workspace import locate_cache, write_bytes

PART = 1024
"""Images in one part on disk: what a kill can cost."""

BATCH = 8
"""Images in one call of an engine; several calls run at once."""

Vectors = NDArray[np.float16]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Features:
    """(n, features) float16, row for row those of the dataset, and what it took to get them."""

    vectors: Vectors
    engine: str
    seconds: float
    computed: int


class Engine(Protocol):
    """Runs a backbone over pixels."""

    name: str

    def compute(self, batches: Iterator[Pixels]) -> Vectors:
        """Return (k, features) float16 for the batches in order."""


class OpenvinoEngine:
    """The backbone compiled by OpenVINO, several batches in flight: the fast way on CPUs."""

    def __init__(self, backbone: Backbone, sample: Pixels) -> None:
        import torch

        openvino = import_openvino()
        precision = choose_precision(torch.device("cpu"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing: the shapes here are fixed on purpose
            model = openvino.convert_model(
                backbone.network, example_input=torch.from_numpy(sample), input=list(sample.shape)
            )
        model.reshape([-1, *sample.shape[1:]])
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": count_cores(),
        }
        self.name = f"openvino {openvino.__version__.split('-')[0]} {precision}"
        self._queue = openvino.AsyncInferQueue(
            openvino.Core().compile_model(model, "CPU", settings)
        )

    def compute(self, batches: Iterator[Pixels]) -> Vectors:
        found: dict[int, Vectors] = {}

        def keep(request: object, number: int) -> None:
            found[number] = request.get_output_tensor(0).data.astype(np.float16)  # type: ignore[attr-defined]  # untyped in openvino

        self._queue.set_callback(keep)
        for number, pixels in enumerate(batches):
            self._queue.start_async({0: pixels}, number)
        self._queue.wait_all()
        return np.concatenate([found[number] for number in range(len(found))])


class TorchEngine:
    """The backbone in PyTorch: the reference, and the way on GPUs."""

    def __init__(self, backbone: Backbone, device: DeviceName) -> None:
        import torch

        self._device = choose_device(device)
        self._network = backbone.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.name = f"torch {torch.__version__.split('+')[0]} {self._device.type} float32"

    def compute(self, batches: Iterator[Pixels]) -> Vectors:
        import torch

        found = []
        with torch.inference_mode():
            for pixels in batches:
                features = self._network(torch.from_numpy(pixels).to(self._device))
                found.append(features.half().cpu().numpy())
        return np.concatenate(found)


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    Its converter would otherwise fork this process, memory and all, to send usage data home.
    With the telemetry package barred it takes its own stub.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None bars it
    import openvino

    return openvino


def ignore_progress(done: int, total: int) -> None:
    """Do nothing with the number of images done."""


def extract_features(
    dataset: Dataset,
    backbone: Backbone,
    device: DeviceName = "auto",
    progress: Progress = ignore_progress,
) -> Features:
    """Return the features of every image, from the cache where they are there.

    Missing or damaged parts alone are computed. Memory is that of the network, one part, and
    the result: (n, features) float16.

    Raises:
        Interrupted: a stop was asked for; finished parts are kept.
    """
    size = backbone.image_size
    sample = dataset.source.read(np.zeros(1, dtype=np.int64), size)
    engine = make_engine(backbone, np.repeat(sample, BATCH, axis=0), device)
    folder = locate_cache() / "features" / _name_features(dataset, backbone, engine)
    vectors = np.empty((len(dataset), backbone.features), dtype=np.float16)
    seconds, computed = 0.0, 0
    for first in range(0, len(dataset), PART):
        rows = np.arange(first, min(first + PART, len(dataset)), dtype=np.int64)
        path = folder / f"part-{first // PART:05d}.npy"
        part = _read_part(path, (len(rows), backbone.features))
        if part is None:
            start = time.perf_counter()
            part = engine.compute(_read_batches(dataset, rows, size))
            seconds += time.perf_counter() - start
            computed += len(rows)
            _write_part(path, part)
        vectors[rows] = part
        progress(int(rows[-1]) + 1, len(dataset))
    return Features(vectors, engine.name, seconds, computed)


def _read_batches(dataset: Dataset, rows: Indices, size: int) -> Iterator[Pixels]:
    for first in range(0, len(rows), BATCH):
        check_stop()
        yield dataset.source.read(rows[first : first + BATCH], size)


def make_engine(backbone: Backbone, sample: Pixels, device: DeviceName) -> Engine:
    """Return OpenVINO on a CPU, PyTorch on any other device."""
    if choose_device(device).type == "cpu":
        return OpenvinoEngine(backbone, sample)
    return TorchEngine(backbone, device)


def _name_features(dataset: Dataset, backbone: Backbone, engine: Engine) -> str:
    import PIL

    digest = hashlib.sha256()
    decoder = f"pillow {PIL.__version__}"
    for part in (backbone.key, engine.name, decoder, str(BATCH), *dataset.hashes):
        digest.update(part.encode() + b"\0")
    return f"{backbone.name}-{digest.hexdigest()[:16]}".replace("/", "_").replace(":", "_")


def _write_part(path: Path, part: Vectors) -> None:
    stream = io.BytesIO()
    np.save(stream, part, allow_pickle=False)
    content = stream.getvalue()
    write_bytes(path, content + hashlib.sha256(content).digest())


def _read_part(path: Path, shape: tuple[int, int]) -> Vectors | None:
    """Return a whole part, or None where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) < 32 or hashlib.sha256(content[:-32]).digest() != content[-32:]:
        return None
    part = np.load(io.BytesIO(content[:-32]), allow_pickle=False)
    return part if part.shape == shape and part.dtype == np.float16 else None
