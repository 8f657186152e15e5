from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tellapart.data.dataset import Dataset
from tellapart.errors import DataError, WorkspaceError
from tellapart.metrics.scores import compute_loss
from tellapart.models import NetworkSettings, Shape, SimpleSettings, StagesSettings, make_model
from tellapart.models.forward import predict_logits
from tellapart.train.checkpoint import (
    BEST,
    copy_state,
    load_model,
    load_strictly,
    read_weights,
    save_weights,
    write_args,
)

from .conftest import MODEL, RECIPE, Trained

CPU = torch.device("cpu")
SHAPE = Shape(1, 8, 10)


def test_a_loaded_model_gives_the_logits_of_the_saved_one(digits: Dataset, tmp_path: Path) -> None:
    model = StagesSettings(width=4, stages=2, norm=True, dense=16, dropout=0.5)
    network = make_model(model, SHAPE)
    network(torch.rand(32, 1, 8, 8))  # moves the running means
    network.to(memory_format=torch.channels_last)
    weights = save_weights(tmp_path / BEST, copy_state(network))
    write_args(tmp_path, digits, model, RECIPE)
    loaded, args = load_model(tmp_path, weights)
    rows = np.arange(100, dtype=np.int64)
    expected = predict_logits(network, digits, rows, "float32")
    found = predict_logits(loaded, digits, rows, "float32")
    assert found == pytest.approx(expected, abs=1e-6)
    assert args.classes == digits.classes


def test_a_trained_model_loads_as_its_best_epoch(trained: Trained, digits: Dataset) -> None:
    network, args = load_model(trained.folder, trained.record.weights)
    rows, best = trained.rows.watch, trained.record.history[trained.record.best_epoch - 1]
    logits = predict_logits(network, digits, rows, "float32")
    truth = digits.labels[rows]
    assert (logits.argmax(1) == truth).mean() == best.val_accuracy
    assert compute_loss(logits, truth) == pytest.approx(best.val_loss, rel=1e-5)
    assert args.fingerprint == digits.fingerprint
    assert args.preprocessing.image_size == 8
    assert (args.model, args.recipe) == (MODEL, RECIPE)


def test_a_copy_does_not_follow_training() -> None:
    network = make_model(MODEL, SHAPE)
    kept = copy_state(network)
    before = {name: tensor.clone() for name, tensor in kept.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], kept[name]) for name in kept)


@pytest.mark.parametrize(
    "other",
    [
        SimpleSettings(width=16, dense=32),
        SimpleSettings(width=8, dense=0),
        StagesSettings(width=8, dense=32),
    ],
)
def test_weights_of_another_network_are_refused(
    other: NetworkSettings, trained: Trained, tmp_path: Path
) -> None:
    state = copy_state(make_model(other, SHAPE))
    with pytest.raises(DataError, match=r"are of another network: .* differs"):
        load_strictly(make_model(MODEL, SHAPE), state, tmp_path)
    folder = Path(shutil.copytree(trained.folder, tmp_path / "run"))
    weights = save_weights(folder / BEST, state)
    with pytest.raises(DataError, match="are of another network"):
        load_model(folder, weights)


def cut_short(content: bytes) -> bytes:
    return content[:-1]


def add_to_the_end(content: bytes) -> bytes:
    return content + b"\0"


def overwrite_the_header(content: bytes) -> bytes:
    return content[:8] + b"#" + content[9:]


def put_a_pickle(content: bytes) -> bytes:
    return b"\x80\x04\x95" + content[3:]


def flip_a_bit(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 0x40])


@pytest.mark.parametrize(
    "tamper", [cut_short, add_to_the_end, overwrite_the_header, put_a_pickle, flip_a_bit]
)
def test_a_tampered_file_is_refused(
    tamper: Callable[[bytes], bytes], trained: Trained, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained.folder, tmp_path / "run"))
    content = tamper((folder / BEST).read_bytes())
    (folder / BEST).write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"best\.safetensors was altered since it was written"):
        load_model(folder, trained.record.weights)
    if tamper is not flip_a_bit:
        with pytest.raises(DataError, match="not a readable safetensors file"):
            load_model(folder, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(
    value: float, trained: Trained, tmp_path: Path
) -> None:
    state = copy_state(make_model(MODEL, SHAPE))
    name = next(iter(state))
    state[name].view(-1)[0] = value
    weights = save_weights(tmp_path / BEST, state)
    with pytest.raises(DataError, match=f"weights must be finite, but {name} in"):
        read_weights(tmp_path / BEST, weights)


def test_missing_files_are_said(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"best\.safetensors cannot be read"):
        read_weights(tmp_path / "best.safetensors", "")
    with pytest.raises(WorkspaceError, match=r"args\.json cannot be read"):
        load_model(tmp_path, "")


@pytest.mark.parametrize("content", ["{}", "[1]", "null", '{"kind": "network"}', "[" * 100_000])
def test_args_of_another_shape_are_refused(content: str, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"args\.json (cannot be read|was altered)"):
        load_model(tmp_path, trained.record.weights)
