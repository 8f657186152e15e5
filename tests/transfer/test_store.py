"""Shards on disk: read where they are whole, gone where they are wrong, and never by mistake."""

from __future__ import annotations

import gc
import json
import os
import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tellapart.errors import WorkspaceError
from tellapart.transfer.store import (
    FeatureStore,
    list_shards,
    pack_shard,
    read_shard,
)

WIDTH = 8
NAMES = [f"{number:024d}" for number in range(40)]


@contextmanager
def limit_open_files(more: int) -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + more, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def open_set(folder: Path) -> FeatureStore:
    return FeatureStore(folder / "set", WIDTH, {"backbone": "x"})


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """As many shards as there are names, a row each."""
    kept = open_set(tmp_path)
    for number, name in enumerate(NAMES):
        kept.add([name], np.full((1, WIDTH), number, np.float16))
    return list_shards(tmp_path / "set")


def test_shards_may_be_more_than_open_files(tmp_path: Path) -> None:
    with limit_open_files(10):
        kept = open_set(tmp_path)
        for number, name in enumerate(NAMES):
            kept.add([name], np.full((1, WIDTH), number, np.float16))
        for again in (kept, open_set(tmp_path)):
            table = again.take(NAMES)
            found = table[np.arange(len(NAMES))]
            assert (found == np.arange(len(NAMES))[:, None]).all()
            assert (table[np.array([3, 1])][:, 0] == [3, 1]).all()


def test_what_is_read_takes_no_open_file(shards: list[Path], tmp_path: Path) -> None:
    table = open_set(tmp_path).take(NAMES)
    gc.collect()
    before = psutil.Process().num_fds()
    assert table[np.arange(3)].shape == (3, WIDTH)
    assert psutil.Process().num_fds() == before


def test_shards_that_cannot_be_opened_now_are_kept(shards: list[Path], tmp_path: Path) -> None:
    said = r"cache of features must be readable .* is not \(Too many open files"
    with limit_open_files(10), ExitStack() as held:
        with suppress(OSError):
            while True:
                held.enter_context(open(os.devnull))
        for act in (partial(open_set, tmp_path), partial(read_shard, shards[0])):
            with pytest.raises(WorkspaceError, match=said):
                act()
    assert list_shards(tmp_path / "set") == shards
    if os.geteuid():  # root may read everything
        shards[0].chmod(0)
        with pytest.raises(WorkspaceError, match="Permission denied"):
            open_set(tmp_path)
    shards[1].unlink()
    shards[1].mkdir()
    with pytest.raises(WorkspaceError, match="Is a directory"):
        open_set(tmp_path)
    assert list_shards(tmp_path / "set") == shards


def test_shards_that_were_removed_meanwhile_are_said(shards: list[Path], tmp_path: Path) -> None:
    table = open_set(tmp_path).take(NAMES)
    shards[0].unlink()
    with pytest.raises(WorkspaceError, match="cache of features must be readable"):
        table[np.arange(len(NAMES))]
    assert open_set(tmp_path).find_missing(NAMES).shape == (1,)


def change_header(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a whole shard of two rows but for its header."""
    good = pack_shard(NAMES[:2], np.ones((2, WIDTH), np.float16))
    (length,) = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length :]


def write_raw(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        write_raw(b"[" * 100_000),
        write_raw(b'{"a":' * 100_000),
        write_raw(b"{}", 2**63),
        write_raw(b"[1]"),
        write_raw(b"null"),
        write_raw(b"\xff\xfe"),
        change_header(lambda header: header.update(__metadata__={"hashes": 5})),
        change_header(lambda header: header.update(__metadata__=[])),
        change_header(lambda header: header["__metadata__"].pop("sha256")),
        change_header(lambda header: header["features"].update(shape=[-2, -WIDTH])),
        change_header(lambda header: header["features"].update(shape=["2", WIDTH])),
        change_header(lambda header: header["features"].update(shape=[2, 2, 4])),
        change_header(lambda header: header["features"].update(data_offsets=[0, 10**9])),
        change_header(lambda header: header["features"].update(dtype="F32")),
        change_header(lambda header: header.pop("features")),
    ],
)
def test_what_was_read_and_is_wrong_is_not_whole(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert read_shard(path) is None


def test_a_header_that_was_not_changed_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(change_header(lambda header: None))
    shard = read_shard(path)
    assert shard is not None
    assert shard.hashes == tuple(NAMES[:2])
    assert np.fromfile(path, np.float16, offset=shard.begin).tolist() == [1] * 2 * WIDTH
