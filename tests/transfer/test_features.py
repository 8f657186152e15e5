from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.data.dataset import ArraySource, Dataset, Pixels
from tellapart.errors import Interrupted
from tellapart.stop import ask_stop, clear_stop
from tellapart.transfer.features import (
    BATCH,
    PART,
    Features,
    OpenvinoEngine,
    TorchEngine,
    extract_features,
    make_engine,
)

from .backbones import FEATURES, make_tiny


@dataclasses.dataclass(frozen=True)
class Kept:
    cache: Path
    features: Features
    shown: list[tuple[int, int]]


def find_parts(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "features").glob("*/*"))


def extract(digits: Dataset, seed: int = 0) -> Features:
    return extract_features(digits, make_tiny(seed), "cpu")


def read_batches(digits: Dataset, count: int) -> Iterator[Pixels]:
    for first in range(0, count, BATCH):
        yield digits.source.read(np.arange(first, min(first + BATCH, count)))


def find_cosines(first: NDArray[np.float16], second: NDArray[np.float16]) -> NDArray[np.float64]:
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(1) / lengths
    return cosines


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


def test_the_cpu_has_openvino(digits: Dataset) -> None:
    sample = digits.source.read(np.zeros(BATCH, np.int64))
    engine = make_engine(make_tiny(), sample, "cpu")
    assert isinstance(engine, OpenvinoEngine)
    assert engine.name.startswith("openvino ")


@pytest.fixture(scope="module")
def kept(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The features of the digits, extracted once into a cache that tests copy."""
    cache = tmp_path_factory.mktemp("kept")
    shown: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(cache))
        found = extract_features(
            digits, make_tiny(), "cpu", lambda done, total: shown.append((done, total))
        )
    return Kept(cache, found, shown)


@pytest.fixture
def parts(kept: Kept, tmp_path: Path) -> list[Path]:
    shutil.copytree(kept.cache, tmp_path / "cache")
    return find_parts(tmp_path)


def test_features_are_computed_once(kept: Kept, parts: list[Path], digits: Dataset) -> None:
    assert kept.features.computed == len(digits)
    assert kept.features.seconds > 0
    assert kept.shown == [(PART, len(digits)), (len(digits), len(digits))]
    assert [path.name for path in parts] == ["part-00000.npy", "part-00001.npy"]
    again = extract(digits)
    assert (again.computed, again.seconds) == (0, 0)
    assert np.array_equal(kept.features.vectors, again.vectors)


def test_a_stop_is_heard_between_batches_and_finished_parts_are_kept(
    digits: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        extract_features(digits, make_tiny(), "cpu", lambda done, total: ask_stop())
    clear_stop()
    assert [path.name for path in find_parts(tmp_path)] == ["part-00000.npy"]
    assert extract(digits).computed == len(digits) - PART


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put_the_other_part(path: Path) -> None:
    path.write_bytes(path.with_name("part-00001.npy").read_bytes())


@pytest.mark.parametrize(
    ("damage", "number"),
    [(Path.unlink, 0), (flip_a_byte, 1), (put_the_other_part, 0)],
)
def test_only_a_damaged_part_is_computed_again(
    damage: Callable[[Path], None],
    number: int,
    kept: Kept,
    parts: list[Path],
    digits: Dataset,
) -> None:
    damage(parts[number])
    again = extract(digits)
    assert again.computed == (PART, len(digits) - PART)[number]
    assert np.array_equal(kept.features.vectors, again.vectors)
    whole = kept.cache / parts[number].relative_to(parts[number].parents[2])
    assert parts[number].read_bytes() == whole.read_bytes()


def test_other_weights_have_features_of_their_own(
    kept: Kept, parts: list[Path], digits: Dataset
) -> None:
    other = extract(digits, seed=1)
    assert other.computed == len(digits)
    assert not np.array_equal(kept.features.vectors, other.vectors)


def test_other_images_have_features_of_their_own(
    kept: Kept, parts: list[Path], digits: Dataset
) -> None:
    assert isinstance(digits.source, ArraySource)
    turned = dataclasses.replace(
        digits,
        source=ArraySource(digits.source.pixels[::-1]),
        hashes=digits.hashes[::-1],
        labels=digits.labels[::-1],
    )
    found = extract(turned)
    assert found.computed == len(digits)
    assert find_cosines(found.vectors, kept.features.vectors[::-1]).min() > 0.999


def test_nothing_phones_home() -> None:
    code = (
        "import sys, multiprocessing, numpy as np\n"
        "def refuse(*a, **k): raise AssertionError('a process was started')\n"
        "multiprocessing.Process.start = refuse\n"
        "from tellapart.models.backbone import make_backbone\n"
        "from tellapart.transfer.features import OpenvinoEngine\n"
        "sample = np.zeros((2, 8, 8, 1), dtype=np.uint8)\n"
        "print(OpenvinoEngine(make_backbone('embedded'), sample).name)\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("openvino")
