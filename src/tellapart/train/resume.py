"""Checkpoints to go on from: a tree of tensors and plain values, in safetensors and JSON.

A checkpoint is one file, ``resume/<epochs>-<steps>-<checksum>.safetensors``: the tensors, and in
the metadata the rest of the tree as JSON. Its name holds the first digits of the SHA-256 of its
bytes, so that name and content come to be in one act. The newest two are kept: where the last
one is damaged, the one before it serves. What is not finite is never written.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from tellapart.errors import WorkspaceError
from tellapart.workspace import write_bytes

FOLDER = "resume"
KEPT = 2
DIGITS = 16
_NAME = re.compile(rf"\d{{6}}-\d{{8}}-([0-9a-f]{{{DIGITS}}})\.safetensors")

Tensors = dict[str, torch.Tensor]
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The names that the format has for kinds of numbers."""


def write_checkpoint(
    folder: Path, place: tuple[int, int], key: str, tree: dict[str, Any]
) -> Path | None:
    """Write a checkpoint of a run folder, then remove all but the newest two.

    Args:
        folder: the run folder.
        place: epochs done, and steps of the epoch at work; higher is newer.
        key: names the training, and all that its course depends on.
        tree: dicts, lists and tuples of tensors, numbers, strings and None.

    Returns:
        the file, or None where a number is not finite: nothing is written then.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written. Older checkpoints stay.
    """
    parts = pack_checkpoint(key, tree)
    if parts is None:
        return None
    name = f"{place[0]:06d}-{place[1]:08d}-{_digest(*parts)}.safetensors"
    try:
        path = write_bytes(folder / FOLDER / name, *parts)
    except WorkspaceError as error:
        raise WorkspaceError(
            f"{error}; the checkpoint before is kept, and the same command goes on from it"
        ) from error
    for old in list_checkpoints(folder)[KEPT:]:
        _remove(old)
    return path


def read_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the tree of a training's newest undamaged checkpoint, or None.

    Newer ones that are damaged, or of another training, are removed, for by their names they
    would outlive the next ones.
    """
    for path in list_checkpoints(folder):
        try:
            content = path.read_bytes()
        except OSError:  # it may be readable another time
            continue
        tree = unpack_checkpoint(content, key) if _digest(content) in path.name else None
        if tree is not None:
            return tree
        _remove(path)
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a run folder; what cannot be removed stays."""
    for path in (folder / FOLDER).glob("*"):
        _remove(path)
    with suppress(OSError):  # none there, or not empty
        (folder / FOLDER).rmdir()


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run folder, the newest first."""
    files = (folder / FOLDER).glob("*.safetensors")
    return sorted((path for path in files if _NAME.fullmatch(path.name)), reverse=True)


def pack_checkpoint(key: str, tree: dict[str, Any]) -> list[bytes | memoryview] | None:
    """Return a checkpoint's bytes in parts, or None where a number is not finite.

    The parts are the tensors' own memory. The package's ``save`` copies all of it twice, which for
    a large network is more than training takes. The format: the length of the header in 8 bytes,
    the header as JSON, the tensors; largest numbers first, so that each begins at a multiple of
    its numbers' size (github.com/huggingface/safetensors).
    """
    tensors: Tensors = {}
    plain = pack_tree(tree, tensors)
    if not all(is_finite(tensor) for tensor in tensors.values()):
        return None
    header: dict[str, Any] = {"__metadata__": {"key": key, "tree": json.dumps(plain)}}
    parts: list[bytes | memoryview] = []
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda pair: -pair[1].itemsize):
        start, end = end, end + tensor.nbytes
        named = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape)}
        header[name] = named | {"data_offsets": [start, end]}
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *parts]


def unpack_checkpoint(content: bytes, key: str) -> dict[str, Any] | None:
    """Return the tree of a checkpoint's bytes, or None where it is damaged or has another key."""
    try:
        length = int.from_bytes(content[:8], "little")
        found = json.loads(content[8 : 8 + length])["__metadata__"]
        if found["key"] != key:
            return None
        tree: dict[str, Any] = unpack_tree(json.loads(found["tree"]), load(content))
        return tree
    except (SafetensorError, ValueError, KeyError):  # written by another version
        return None


def pack_tree(tree: Any, tensors: Tensors) -> Any:
    """Return a tree as what JSON can hold, and put its tensors into ``tensors``.

    Tensors go there in main memory, contiguous; how they lay in memory before is noted, for
    fused optimisers take it that a weight and what they keep of it lie alike.
    """
    if isinstance(tree, torch.Tensor):
        key = str(len(tensors))
        tensors[key] = tree.detach().cpu().contiguous()
        return {"tensor": key, "stride": tree.stride()}
    if isinstance(tree, dict):
        return {"dict": [[key, pack_tree(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {type(tree).__name__: [pack_tree(value, tensors) for value in tree]}
    assert tree is None or isinstance(tree, bool | int | float | str), type(tree)
    return tree


def unpack_tree(plain: Any, tensors: Tensors) -> Any:
    """Return the tree that `pack_tree` made ``plain`` and ``tensors`` of."""
    if not isinstance(plain, dict):
        return plain
    if "tensor" in plain:
        tensor, stride = tensors[plain["tensor"]], tuple(plain["stride"])
        if tensor.stride() == stride:
            return tensor
        return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype).copy_(tensor)
    if "dict" in plain:
        return {key: unpack_tree(value, tensors) for key, value in plain["dict"]}
    if "tuple" in plain:
        return tuple(unpack_tree(value, tensors) for value in plain["tuple"])
    return [unpack_tree(value, tensors) for value in plain["list"]]


def is_finite(tensor: torch.Tensor) -> bool:
    """Return whether a tensor holds neither infinities nor what is not a number."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:DIGITS]


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file too many does no harm
        path.unlink()
