"""Engines agree, in any batch, and nothing phones home."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import timm
import torch

from tellapart.data.dataset import Dataset, Pixels
from tellapart.models.backbone import PACKAGED, PixelBackbone, make_backbone, resize_backbone
from tellapart.transfer.engines import OpenvinoEngine, TorchEngine, make_engine, name_engine
from tellapart.transfer.resources import Load, measure_widest

from .backbones import FEATURES, make_tiny
from .test_features import find_cosines

BATCH = 8


def read_batches(digits: Dataset, count: int, batch: int = BATCH) -> Iterator[Pixels]:
    for first in range(0, count, batch):
        yield digits.source.read(np.arange(first, min(first + batch, count)))


def test_openvino_agrees_with_torch_row_for_row(digits: Dataset) -> None:
    count = 5 * BATCH + 3
    backbone = make_tiny()
    sample = digits.source.read(np.zeros(BATCH, np.int64))
    fast = OpenvinoEngine(backbone, sample).compute(read_batches(digits, count))
    slow = TorchEngine(backbone, "cpu").compute(read_batches(digits, count))
    assert fast.shape == slow.shape == (count, FEATURES)
    assert fast.dtype == slow.dtype == np.float16
    assert find_cosines(fast, slow).min() > 0.99
    assert find_cosines(fast[1:], slow[:-1]).min() < 0.99


@pytest.mark.parametrize("batch", [1, 3, 40])
def test_the_batch_has_no_say(batch: int, digits: Dataset) -> None:
    backbone = make_tiny()
    sample = digits.source.read(np.zeros(BATCH, np.int64))
    for engine in (OpenvinoEngine(backbone, sample), TorchEngine(backbone, "cpu")):
        whole = engine.compute(read_batches(digits, 40))
        again = engine.compute(read_batches(digits, 40, batch))
        assert find_cosines(whole, again).min() > 0.999


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_reference_and_leaves_the_backbone_where_it_is(
    digits: Dataset,
) -> None:
    backbone = make_backbone(PACKAGED)
    fast = TorchEngine(backbone, "cuda").compute(read_batches(digits, 40, 16))
    slow = TorchEngine(backbone, "cpu").compute(read_batches(digits, 40))
    assert find_cosines(fast, slow).min() > 0.99
    # the same weights behind another resolution, which are still on the CPU
    assert measure_widest(resize_backbone(backbone, 2 * backbone.image_size)) > 0


@pytest.mark.parametrize("load", [Load(8), Load(1, 1), Load(3)])
def test_the_cpu_has_openvino_whatever_it_takes_on_at_once(load: Load, digits: Dataset) -> None:
    sample = digits.source.read(np.zeros(1, np.int64))
    engine = make_engine(make_tiny(), sample, "cpu", load)
    assert isinstance(engine, OpenvinoEngine)
    assert name_engine("cpu").startswith("openvino ")
    slow = TorchEngine(make_tiny(), "cpu").compute(read_batches(digits, 20))
    assert find_cosines(engine.compute(read_batches(digits, 20, load.batch)), slow).min() > 0.99


@pytest.mark.parametrize(
    "name", ["test_vit", "test_efficientnet", "test_convnext", "test_mambaout"]
)
def test_families_of_networks_take_any_batch(name: str, digits: Dataset) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    side = int(network.pretrained_cfg["input_size"][-1])  # type: ignore[index]  # a dict on timm's
    pixel = PixelBackbone(network, side, [0.5] * 3, [0.25] * 3).eval()
    backbone = dataclasses.replace(make_tiny(), network=pixel)
    slow = TorchEngine(backbone, "cpu").compute(read_batches(digits, 7))
    engine = OpenvinoEngine(backbone, digits.source.read(np.zeros(1, np.int64)))
    for batch in (1, 3):
        fast = engine.compute(read_batches(digits, 7, batch))
        assert find_cosines(fast, slow).min() > 0.99


@pytest.mark.parametrize("shape", [(8, 8, 1), (40, 40, 3)])
def test_the_packaged_backbone_takes_grey_and_colour(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    backbone = resize_backbone(make_backbone(PACKAGED), 64)
    fast = OpenvinoEngine(backbone, pixels[:1]).compute(iter([pixels]))
    slow = TorchEngine(backbone, "cpu").compute(iter([pixels]))
    assert find_cosines(fast, slow).min() > 0.99


def test_nothing_phones_home() -> None:
    code = (
        "import sys, multiprocessing, numpy as np\n"
        "def refuse(*a, **k): raise AssertionError('a process was started')\n"
        "multiprocessing.Process.start = refuse\n"
        "from tellapart.models.backbone import make_backbone, resize_backbone\n"
        "from tellapart.transfer.engines import OpenvinoEngine\n"
        "sample = np.zeros((2, 8, 8, 1), dtype=np.uint8)\n"
        "backbone = resize_backbone(make_backbone('efficientnet-lite0'), 32)\n"
        "OpenvinoEngine(backbone, sample)\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
