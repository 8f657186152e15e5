"""Features of a frozen backbone: computed once, in bounded memory, kept on disk.

The folder of a set of features is named by everything they depend on but the images: the weights
and preprocessing of the backbone, the engine and its precision, the decoder, and the view. In it
features are found by the content of their images.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from tempfile import TemporaryFile

import numpy as np

from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.device import release_memory
from tellapart.errors import BackboneError
from tellapart.models.backbone import Backbone
from tellapart.stop import check_stop
from tellapart.transfer.engines import make_engine, name_engine
from tellapart.transfer.resources import Resources, choose_load
from tellapart.transfer.store import (
    FORMAT,
    FeatureStore,
    Rows16,
    Vectors,
    explain_cache,
    locate_features,
)
from tellapart.transfer.views import PLAIN, View, read_view

FIRST, LEAST, MOST = 8, 64, 1024
"""Images in the first shard that is computed, and the bounds of the others."""
SHARD_SECONDS = 20.0
"""What a shard should take, between those bounds: a kill costs as much."""
TIMED_SECONDS = 1.0
"""What the first shard has to take, for a backbone to be timed on it alone."""

Progress = Callable[[int, int], None]
RESOURCES = Resources()


@dataclass(frozen=True)
class Features:
    """(n, features) float16, row for row those that were asked for, and what it took.

    ``seconds`` and ``computed`` images are this start's; the others were in the cache.
    """

    vectors: Vectors
    engine: str
    seconds: float
    computed: int

    def place(self, rows: Indices, count: int) -> Features:
        """Return them as a table of ``count`` rows; what is at others than these is of no use."""
        places = np.zeros(count, np.int64)
        places[rows] = np.arange(len(rows))
        return replace(self, vectors=Placed(self.vectors, places))


@dataclass(frozen=True)
class Placed:
    """Features that are taken by the rows of a larger table."""

    table: Vectors
    places: Indices

    @property
    def shape(self) -> tuple[int, ...]:
        """As many rows as the larger table has."""
        return (len(self.places), self.table.shape[1])

    def __getitem__(self, rows: Indices) -> Rows16:
        found: Rows16 = self.table[self.places[rows]]
        return found


def extract_features(
    dataset: Dataset,
    backbone: Backbone,
    resources: Resources = RESOURCES,
    progress: Progress = lambda done, total: None,
    view: View = PLAIN,
    rows: Indices | None = None,
) -> Features:
    """Return the features of images, from the cache where they are there.

    Those that are missing, or were in a damaged shard, are computed, in shards of about
    ``SHARD_SECONDS``. Memory is that of the network and one shard: the result is read from the
    disk as it is used. Where none is missing, no engine is made.

    Args:
        resources: the device, and the memory that limits how many images it has at once.
        progress: is told how many images are done, of how many.
        view: how the images are shown.
        rows: of the dataset, the others are not computed; all of them unless told. The result has
            them in this order.

    Raises:
        Interrupted: a stop was asked for; finished shards are kept.
        WorkspaceError: the cache cannot be read or written.
        BackboneError: features of an image are not finite; none of its shard are kept.
        DataError: an image cannot be read.
        BudgetError: memory does not suffice for one image.
    """
    rows = np.arange(len(dataset), dtype=np.int64) if rows is None else rows
    hashes = [dataset.hashes[row] for row in rows.tolist()]
    name = name_engine(resources.device)
    store = open_store(backbone, name, view)
    missing = rows[store.find_missing(hashes)]
    seconds, first, count = 0.0, 0, FIRST
    if len(missing):
        check_cache()
        load = choose_load(backbone, resources)
        sample = dataset.source.read(missing[:1], backbone.image_size)
        engine = make_engine(backbone, sample, resources.device, load)
        if engine.name != name:  # the other one's: what it computed before is elsewhere
            name = engine.name
            store = open_store(backbone, name, view)
            missing = rows[store.find_missing(hashes)]
    done = len(rows) - len(missing)
    progress(done, len(rows))
    while first < len(missing):
        some = missing[first : first + count]
        start = time.perf_counter()
        batches = _read_batches(dataset, some, load.batch, backbone.image_size, view)
        vectors = engine.compute(batches)
        seconds += time.perf_counter() - start
        _check_finite(dataset, backbone, some, vectors)
        store.add([dataset.hashes[row] for row in some.tolist()], vectors)
        first += len(some)
        progress(done + first, len(rows))
        count = max(LEAST, min(MOST, 8 * count, int(SHARD_SECONDS / seconds * first)))
    if first:
        del engine
        release_memory()
    return Features(store.take(hashes), name, seconds, len(missing))


class _Enough(Exception):
    """Ends an extraction that was only to be timed."""


def time_backbone(
    dataset: Dataset, backbone: Backbone, rows: Indices, resources: Resources = RESOURCES
) -> float:
    """Return the seconds that the features of these images take, over their number.

    One or two shards of those that are missing are computed, and kept; those in the cache take no
    time.

    Raises:
        Interrupted, WorkspaceError, BackboneError, DataError, BudgetError: as `extract_features`.
    """
    seen: list[tuple[float, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((time.perf_counter(), done))
        if len(seen) > 2 or (len(seen) == 2 and seen[1][0] - seen[0][0] > TIMED_SECONDS):
            raise _Enough

    with suppress(_Enough):
        some = np.random.default_rng(0).permutation(rows)
        extract_features(dataset, backbone, resources, watch, rows=some)
    if len(seen) < 2:
        return 0.0
    (before, done), (now, more) = seen[-2:]
    return (now - before) / (more - done) * (1 - seen[0][1] / len(rows))


def check_cache() -> None:
    """Find out now whether features can be kept.

    Raises:
        WorkspaceError: the cache cannot be written.
    """
    folder = locate_features()
    with explain_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


def _check_finite(dataset: Dataset, backbone: Backbone, rows: Indices, vectors: Rows16) -> None:
    wrong = rows[~np.isfinite(vectors).all(axis=1)]
    if len(wrong):
        image = dataset.files[wrong[0]] if dataset.files else f"image {wrong[0]}"
        raise BackboneError(
            f"features must be finite in half precision, but --backbone {backbone.name} gives "
            f"others for {len(wrong)} of {len(rows)} images, the first {image}; "
            "take another backbone"
        )


def _read_batches(
    dataset: Dataset, rows: Indices, batch: int, size: int, view: View
) -> Iterator[Pixels]:
    for first in range(0, len(rows), batch):
        check_stop()
        yield read_view(dataset, rows[first : first + batch], size, view)


def open_store(backbone: Backbone, engine: str, view: View) -> FeatureStore:
    """Open the set of features of a backbone, an engine and a view, in tellapart's cache."""
    key = {
        "weights": backbone.key,
        "image_size": backbone.image_size,
        "engine": engine,
        "decoder": name_decoder(),
        "view": view.name,
    }
    digest = hashlib.sha256(f"{FORMAT}\0".encode())
    for name, part in sorted(key.items()):
        digest.update(f"{name}={part}\0".encode())
    folder = locate_features() / f"{backbone.key}-{digest.hexdigest()[:12]}"
    return FeatureStore(folder, backbone.features, {"backbone": backbone.name, **key})


def name_decoder() -> str:
    """Return what makes pixels of files, with its version."""
    import PIL

    return f"pillow {PIL.__version__}"
