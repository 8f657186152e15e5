"""Data that have a name: where they are published, and who reads them. One entry each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tellapart.data.cifar import CIFAR10, CIFAR100, read_cifar
from tellapart.data.dataset import Dataset
from tellapart.data.digits import load_digits
from tellapart.data.download import Progress, download_file
from tellapart.data.idx import FASHION, MNIST, read_idx
from tellapart.errors import DataError
from tellapart.workspace import expand_path, locate_cache

DATA_VARIABLE = "TELLAPART_DATA"


@dataclass(frozen=True)
class Published:
    """A file as its publisher has it: its address, its bytes, its SHA-256."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Named:
    """Data with a name."""

    read: Callable[[Path], Dataset | None]  # of the copy in a folder; None where there is none
    files: tuple[Published, ...] = ()  # to download; none where the data come with the package
    folder: str = ""  # in the cache, where the files' own names do not say whose they are
    shapes: str = ""  # what a copy may look like, in words


_TORONTO = "https://www.cs.toronto.edu/~kriz"
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist"
_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"

# fmt: off
NAMED: dict[str, Named] = {
    "digits": Named(lambda place: load_digits()),
    "cifar10": Named(
        partial(read_cifar, layout=CIFAR10),
        (
            Published(f"{_TORONTO}/cifar-10-python.tar.gz", 170_498_071,
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
        ),
        shapes="cifar-10-batches-bin, cifar-10-batches-py, cifar-10-python.tar.gz",
    ),
    "cifar100": Named(
        partial(read_cifar, layout=CIFAR100),
        (
            Published(f"{_TORONTO}/cifar-100-python.tar.gz", 169_001_437,
                "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
        ),
        shapes="cifar-100-binary, cifar-100-python, cifar-100-python.tar.gz",
    ),
    "mnist": Named(
        partial(read_idx, layout=MNIST),
        (
            Published(f"{_MNIST}/train-images-idx3-ubyte.gz", 9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            Published(f"{_MNIST}/train-labels-idx1-ubyte.gz", 28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            Published(f"{_MNIST}/t10k-images-idx3-ubyte.gz", 1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            Published(f"{_MNIST}/t10k-labels-idx1-ubyte.gz", 4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        folder="mnist",
        shapes="mnist or MNIST/raw (train-images-idx3-ubyte.gz and so on)",
    ),
    "fashion-mnist": Named(
        partial(read_idx, layout=FASHION),
        (
            Published(f"{_FASHION}/train-images-idx3-ubyte.gz", 26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            Published(f"{_FASHION}/train-labels-idx1-ubyte.gz", 29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            Published(f"{_FASHION}/t10k-images-idx3-ubyte.gz", 4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            Published(f"{_FASHION}/t10k-labels-idx1-ubyte.gz", 5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        folder="fashion-mnist",
        shapes="fashion-mnist or FashionMNIST/raw (train-images-idx3-ubyte.gz and so on)",
    ),
}
# fmt: on


def list_named() -> str:
    """Return a line for each name: how large a download is, and whether it is here already."""
    places = list_places(os.environ, Path.home(), Path.cwd())
    lines = []
    for name, entry in NAMED.items():
        size = sum(file.size for file in entry.files)
        state = "comes with tellapart"
        if entry.files:
            here = _read_first(name, places) is not None
            state = f"{size / 1e6:,.0f} MB to download" if not here else "is here"
        lines.append(f"{name:<14} {state}")
    lines.append(f"{'hf:OWNER/NAME':<14} a dataset of the Hugging Face hub, by its Parquet files")
    return "\n".join(lines)


def load_named(
    name: str,
    data_dir: Path | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Read data that have a name.

    Looks in ``data_dir`` alone if given; else in ``TELLAPART_DATA``, tellapart's cache and
    the copies that Keras and torchvision leave; then downloads, if allowed.

    Raises:
        DataError: no copy is found, or one is truncated or altered.
    """
    entry = NAMED[name]
    if not entry.files:
        places = [Path(".")]
    elif data_dir:
        places = [data_dir]
    else:
        places = list_places(os.environ, Path.home(), Path.cwd())
    if found := _read_first(name, places):
        return found
    if data_dir is None and download:
        fetch_named(name, progress)
        found = _read_first(name, [locate_cache() / "data"])
        assert found is not None, "what was downloaded is read"
        return found
    remedy = "give its folder with --data-dir" if data_dir is None else "name another --data-dir"
    raise DataError(
        f"{name} must lie in one of {', '.join(map(str, places))} as one of {entry.shapes}, "
        f"but is not there; {remedy}, or run: tellapart fetch {name}"
    )


def _read_first(name: str, places: Sequence[Path]) -> Dataset | None:
    try:
        copies = (NAMED[name].read(expand_path(place)) for place in places)
        return next((copy for copy in copies if copy is not None), None)
    except DataError as error:
        raise DataError(
            f"{error}; replace it with a fresh copy, or remove it and run: tellapart fetch {name}"
        ) from error


def fetch_named(name: str, progress: Progress | None = None) -> Path | None:
    """Download what is not there yet into tellapart's cache; return the file, or their folder.

    Raises:
        DataError: no network, no space, or the content is not the official one.
    """
    entry = NAMED[name]
    if not entry.files:
        return None
    folder = locate_cache() / "data" / entry.folder
    total, before = sum(file.size for file in entry.files), 0
    for number, file in enumerate(entry.files, 1):
        path = folder / file.url.rpartition("/")[2]

        def report(done: int, size: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        try:
            download_file(file.url, path, file.size, file.sha256, report)
        except DataError as error:
            rest = ", ".join(other.url for other in entry.files[number:])
            raise DataError(f"{error}, and beside it {rest}" if rest else str(error)) from error
        before += file.size
    return path if len(entry.files) == 1 else folder


def list_places(environ: Mapping[str, str], home: Path, here: Path) -> list[Path]:
    """Return the folders that are searched for named data, in order."""
    keras = Path(environ.get("KERAS_HOME") or home / ".keras")
    named = [Path(environ[DATA_VARIABLE])] if environ.get(DATA_VARIABLE) else []
    cache = locate_cache(dict(environ)) / "data"
    return [*named, cache, keras / "datasets", here / "data", home / "data"]
