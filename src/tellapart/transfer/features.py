"""Features of a frozen backbone: computed once, in bounded memory, kept on disk.

A set of them is named by everything they depend on but the images: the backbone's weights and
preprocessing, the engine and its precision, the decoder, and the view.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    FeatureTable,
    explain_cache,
    locate_features,
)
from tellapart.transfer.views import PLAIN, View, read_view

MOST, LEAST = 1024, 64
"""Images in one shard on disk."""
SHARD_SECONDS = 20.0
"""What a shard should take, between those bounds: a kill costs as much."""
TIMED = (8, LEAST)
"""Images that a backbone is timed on: the first few of an engine, then more if they were quick."""
TIMED_SECONDS = 1.0

Progress = Callable[[int, int], None]
RESOURCES = Resources()


@dataclass(frozen=True)
class Features:
    """(n, features) float16, row for row those that were asked for, and what it took.

    ``seconds`` and ``computed`` images are this start's; the others were in the cache.
    """

    vectors: FeatureTable
    engine: str
    seconds: float
    computed: int


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
        progress: is told how many images are done, of how many.
        rows: of the dataset, in the order of the result; all of them unless told.

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
    store = _open_store(backbone, name, view)
    missing = rows[store.find_missing(hashes)]
    seconds, first, count = 0.0, 0, LEAST
    if len(missing):
        check_cache()
        load = choose_load(backbone, resources)
        sample = dataset.source.read(missing[:1], backbone.image_size)
        engine = make_engine(backbone, sample, resources.device, load)
        if engine.name != name:  # the other one's: what it computed before is elsewhere
            name = engine.name
            store = _open_store(backbone, name, view)
            missing = rows[store.find_missing(hashes)]
    done = len(rows) - len(missing)
    progress(done, len(rows))
    while first < len(missing):
        some = missing[first : first + count]
        start = time.perf_counter()
        batches = _read_batches(dataset, some, load.batch, backbone.image_size, view)
        vectors = engine.compute(batches)
        seconds += time.perf_counter() - start
        wrong = some[~np.isfinite(vectors).all(axis=1)]
        if len(wrong):
            image = dataset.files[wrong[0]] if dataset.files else f"image {wrong[0]}"
            raise BackboneError(
                f"features must be finite in half precision, but --backbone {backbone.name} gives "
                f"others for {len(wrong)} of {len(some)} images, the first {image}; "
                "take another backbone"
            )
        store.add([dataset.hashes[row] for row in some.tolist()], vectors)
        first += len(some)
        progress(done + first, len(rows))
        count = max(LEAST, min(MOST, int(SHARD_SECONDS / seconds * first)))
    if first:
        del engine
        release_memory()
    return Features(store.take(hashes), name, seconds, len(missing))


def time_backbone(
    dataset: Dataset, backbone: Backbone, rows: Indices, resources: Resources = RESOURCES
) -> float:
    """Return the seconds that the features of these images take, over their number.

    A few of those that are missing are computed, and kept; those in the cache take no time.

    Raises:
        Interrupted, WorkspaceError, BackboneError, DataError, BudgetError: as `extract_features`.
    """
    hashes = [dataset.hashes[row] for row in rows.tolist()]
    store = _open_store(backbone, name_engine(resources.device), PLAIN)
    missing = rows[store.find_missing(hashes)]
    few = np.random.default_rng(0).permutation(missing)
    pace = 0.0
    for count in TIMED:
        found = extract_features(dataset, backbone, resources, rows=few[:count])
        if found.computed:
            pace = found.seconds / found.computed
        if found.seconds > TIMED_SECONDS:
            break
    return pace * len(missing) / max(1, len(rows))


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


def _read_batches(
    dataset: Dataset, rows: Indices, batch: int, size: int, view: View
) -> Iterator[Pixels]:
    for first in range(0, len(rows), batch):
        check_stop()
        yield read_view(dataset, rows[first : first + batch], size, view)


def _open_store(backbone: Backbone, engine: str, view: View) -> FeatureStore:
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
