from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, load_file

from tellapart.errors import WorkspaceError
from tellapart.train.resume import (
    _TYPES,
    list_checkpoints,
    pack_checkpoint,
    pack_tree,
    read_checkpoint,
    remove_checkpoints,
    unpack_checkpoint,
    unpack_tree,
    write_checkpoint,
)

KEY = "a-training"


def make_tree(number: int) -> dict[str, Any]:
    return {
        "weights": {"conv": torch.full((2, 3), float(number))},
        "state": {0: {"step": torch.tensor(float(number)), "seen": None}},
        "betas": (0.9, 0.999),
        "number": number,
    }


def write(folder: Path, number: int) -> Path:
    path = write_checkpoint(folder, (number // 10, number % 10), KEY, make_tree(number))
    assert path is not None
    return path


def read(folder: Path, key: str = KEY) -> int | None:
    tree = read_checkpoint(folder, key)
    if tree is None:
        return None
    number = int(tree["number"])
    assert torch.equal(tree["weights"]["conv"], make_tree(number)["weights"]["conv"])
    assert tree["state"][0]["step"] == number
    assert tree["betas"] == (0.9, 0.999)
    return number


def test_the_newest_is_read_and_the_last_two_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    for number in (9, 10, 11, 100):
        write(tmp_path, number)
        assert read(tmp_path) == number
    assert [path.name[:15] for path in list_checkpoints(tmp_path)] == [
        "000010-00000000",
        "000001-00000001",
    ]
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_checkpoints(tmp_path)


def test_a_checkpoint_is_a_safetensors_file(tmp_path: Path) -> None:
    tensors = load_file(write(tmp_path, 7))
    assert sorted(tensor.numel() for tensor in tensors.values()) == [1, 6]


def test_tensors_of_every_kind_are_as_the_package_reads_them() -> None:
    kinds = sorted(_TYPES, key=str)
    tree: dict[str, Any] = {
        str(kind): torch.arange(number % 3 * 5, dtype=torch.float32).to(kind).view(-1, 5)
        for number, kind in enumerate(kinds)
    }
    tree["one"] = torch.tensor(7, dtype=torch.int8)
    parts = pack_checkpoint(KEY, tree)
    assert parts is not None
    expected: dict[str, torch.Tensor] = {}
    pack_tree(tree, expected)
    found = load(b"".join(parts))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    again = unpack_checkpoint(b"".join(parts), KEY)
    assert again is not None and again.keys() == tree.keys()


def test_a_checkpoint_takes_no_copy_of_what_it_holds() -> None:
    weights = torch.zeros(10)
    parts = pack_checkpoint(KEY, {"weights": weights})
    assert parts is not None
    weights.fill_(1)
    assert bytes(parts[-1]) == weights.numpy().tobytes()


def flip_a_bit(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda content: content[:-1], lambda content: b""],
    ids=["a bit", "an end", "all"],
)
def test_a_damaged_newest_falls_back_to_the_one_before(damage: Any, tmp_path: Path) -> None:
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    newest.write_bytes(damage(newest.read_bytes()))
    assert read(tmp_path) == 1
    write(tmp_path, 2)  # the same step again, whole
    assert read(tmp_path) == 2
    assert len(list_checkpoints(tmp_path)) == 2


def test_two_damaged_ones_are_none(tmp_path: Path) -> None:
    for number in (1, 2):
        path = write(tmp_path, number)
        path.write_bytes(flip_a_bit(path.read_bytes()))
    assert read(tmp_path) is None


def test_a_checkpoint_of_another_training_is_none(tmp_path: Path) -> None:
    write(tmp_path, 50)
    assert read(tmp_path, "another") is None
    assert list_checkpoints(tmp_path) == []  # else it would pass for newer than what comes


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_written(bad: float, tmp_path: Path) -> None:
    write(tmp_path, 1)
    tree = make_tree(2)
    tree["weights"]["conv"][1, 2] = bad
    assert write_checkpoint(tmp_path, (0, 2), KEY, tree) is None
    assert read(tmp_path) == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WorkspaceError, match=r"No space left.*checkpoint before is kept"):
            write(tmp_path, 2)
    assert read(tmp_path) == 1


@pytest.mark.parametrize(
    "tensor",
    [
        torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last),
        torch.rand(6, 4).t(),
        torch.tensor(3.5),
        torch.arange(5),
        torch.rand(7).to(torch.bfloat16),
    ],
    ids=["channels-last", "transposed", "a number", "whole numbers", "bfloat16"],
)
def test_a_tensor_comes_back_as_it_lay(tensor: torch.Tensor) -> None:
    kept: dict[str, torch.Tensor] = {}
    found = unpack_tree(pack_tree(tensor, kept), kept)
    assert torch.equal(found, tensor)
    assert (found.dtype, found.stride()) == (tensor.dtype, tensor.stride())


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(trees)
def test_plain_values_come_back_as_they_were(tree: Any) -> None:
    import json

    found = unpack_tree(json.loads(json.dumps(pack_tree(tree, {}))), {})
    assert found == tree
    assert repr(found) == repr(tree)
