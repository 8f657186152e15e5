"""A model's network in the forms of other programs, as the bytes of their files."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from tellapart.data.dataset import Pixels
from tellapart.predict.engines import KEY, Seen
from tellapart.predict.network import PixelClassifier, find_last
from tellapart.transfer.engines import convert_network

Files = dict[str, bytes]
"""The files of an export, by the ending of their name."""
INPUT, OUTPUT = "pixels", "probabilities"


class Probabilities(nn.Module):
    """(n, size, size, channels) uint8 to (n, classes) probabilities: a copy, for exporters."""

    def __init__(self, source: PixelClassifier) -> None:
        super().__init__()
        self.network = deepcopy(source.network).to("cpu").eval()
        find_last(self.network)._forward_pre_hooks.clear()  # it kept the features in a list
        self.temperature, self.mirrored = source.temperature, source.mirrored

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        images = pixels.permute(0, 3, 1, 2).to(torch.float32) * (1 / 255)
        logits = self.network(images)
        if self.mirrored:
            logits = (logits + self.network(images.flip(3))) / 2
        return torch.softmax(logits / self.temperature, 1)


@contextmanager
def keep_quiet() -> Iterator[None]:
    """Let exporters say nothing: what matters is checked, and said by us."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def trace_network(network: Probabilities, sample: Pixels) -> torch.export.ExportedProgram:
    """Return a network as a graph that takes any number of images such as those of ``sample``.

    Where the lines of its source lie on this machine is nobody's business, and is left out.
    """
    images = torch.from_numpy(np.concatenate([sample[:1]] * 2))  # one alone would be the only size
    dynamic = ({0: torch.export.Dim("n", min=1)},)
    program = torch.export.export(network, (images,), dynamic_shapes=dynamic)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program


def make_onnx(network: Probabilities, sample: Pixels, about: str) -> Files:
    """Return an ONNX file; batch norms are folded into convolutions."""
    with keep_quiet():
        found: Any = torch.onnx.export(
            trace_network(network, sample),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )
    for node in found.model.graph.all_nodes():
        node.metadata_props.clear()
    found.model.metadata_props[KEY] = about
    return {".onnx": found.model_proto.SerializeToString()}


def make_openvino(network: Probabilities, sample: Pixels, about: str) -> Files:
    """Return an OpenVINO model, its weights in float32."""
    import openvino

    with keep_quiet():
        model = convert_network(network, sample)
    model.set_rt_info(about, [KEY])
    with TemporaryDirectory(prefix="tellapart-") as place:  # it writes to paths alone
        path = Path(place) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return {ending: path.with_suffix(ending).read_bytes() for ending in (".bin", ".xml")}


def make_torch(network: Probabilities, sample: Pixels, about: str) -> Files:
    """Return a file for ``torch.export.load``."""
    buffer = io.BytesIO()
    with keep_quiet():
        torch.export.save(trace_network(network, sample), buffer, extra_files={KEY: about})
    return {".pt2": buffer.getvalue()}


class ProgramEngine:
    """A file of `make_torch` that was made in this process; never one from elsewhere."""

    def __init__(self, files: Files) -> None:
        with keep_quiet():
            self._network = torch.export.load(io.BytesIO(files[".pt2"])).module()

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        """Return the probabilities of all their images, in order."""
        with torch.inference_mode():
            found = [self._network(torch.from_numpy(one)).numpy() for one in batches]
        return np.concatenate(found), None


MAKERS: dict[str, Callable[[Probabilities, Pixels, str], Files]] = {
    "onnx": make_onnx,
    "openvino": make_openvino,
    "torch": make_torch,
}
"""What makes the files of a network for images such as one, with all that is known of it."""
