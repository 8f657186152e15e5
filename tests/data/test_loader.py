import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.data.dataset import ArraySource, Dataset, Indices, Pixels
from tellapart.data.loader import cut_epoch, iterate_batches, shuffle_order
from tellapart.errors import DataError

Maker = Callable[..., Dataset]


class StreamedSource(ArraySource):
    """As if decoded at each read, and keeping account of the threads."""

    streamed = True

    def __init__(self, pixels: Pixels, fail_at: int = -1) -> None:
        super().__init__(pixels)
        self.fail_at = fail_at
        self.threads: set[str] = set()

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        self.threads.add(threading.current_thread().name)
        if self.fail_at in indices:
            raise DataError("gone.png")
        return super().read(indices, size)


@given(st.integers(0, 50), st.integers(0, 2**70), st.integers(0, 1000))
def test_an_order_is_a_permutation_and_repeatable(n: int, seed: int, epoch: int) -> None:
    order = shuffle_order(n, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, shuffle_order(n, seed, epoch))


def test_orders_differ_by_seed_and_epoch() -> None:
    orders = {tuple(shuffle_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_first_places_are_uniform() -> None:
    counts = np.bincount([shuffle_order(5, 3, epoch)[0] for epoch in range(2000)], minlength=5)
    assert abs(counts - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_come_whole_and_in_order(
    make_dataset: Maker, batch_size: int, streamed: bool
) -> None:
    dataset = make_dataset([0, 1, 2, 1, 0, 2, 1, 0])
    pixels = dataset.source.read(np.arange(8))
    source = StreamedSource(pixels) if streamed else dataset.source
    dataset = replace(dataset, source=source)
    indices, order = np.array([7, 1, 4, 2, 0]), np.array([4, 0, 3, 1, 2])
    batches = list(iterate_batches(dataset, indices, batch_size, order))
    rows = np.concatenate([batch[2] for batch in batches])
    assert rows.tolist() == [0, 7, 2, 1, 4]
    assert all(len(batch[0]) <= batch_size for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), pixels[rows])
    np.testing.assert_array_equal(
        np.concatenate([batch[1] for batch in batches]), dataset.labels[rows]
    )
    if isinstance(source, StreamedSource):
        assert threading.current_thread().name not in source.threads


def test_no_images_give_no_batches(make_dataset: Maker) -> None:
    dataset = make_dataset([0, 1])
    nothing = np.array([], np.int64)
    assert list(iterate_batches(dataset, nothing, 4)) == []
    streamed = replace(dataset, source=StreamedSource(dataset.source.read(np.arange(2))))
    assert list(iterate_batches(streamed, nothing, 4)) == []


def test_a_failing_read_is_not_passed_over(make_dataset: Maker) -> None:
    dataset = make_dataset([0, 1] * 4)
    source = StreamedSource(dataset.source.read(np.arange(8)), fail_at=5)
    with pytest.raises(DataError, match="gone"):
        list(iterate_batches(replace(dataset, source=source), np.arange(8), 2))


def test_a_reader_left_early_ends_its_thread(make_dataset: Maker) -> None:
    dataset = make_dataset([0, 1] * 4)
    source = StreamedSource(dataset.source.read(np.arange(8)))
    before = threading.active_count()
    batches = iterate_batches(replace(dataset, source=source), np.arange(8), 2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


@given(n=st.integers(0, 300), batch=st.integers(1, 40), even=st.booleans())
def test_batches_cut_an_epoch_once(n: int, batch: int, even: bool) -> None:
    bounds = cut_epoch(n, batch, even)
    sizes = np.diff(bounds)
    assert (bounds[0], bounds[-1], len(sizes)) == (0, n, -(-n // batch))
    assert n == 0 or 1 <= sizes.min() <= sizes.max() <= batch
    if n:
        assert sizes.max() - sizes.min() <= 1 if even else set(sizes[:-1]) <= {batch}
