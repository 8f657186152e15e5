"""Folders of models from strangers: each is refused in a line, and nothing in it is run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load_file, save_file

from tellapart.errors import TellapartError, UserError
from tellapart.predict.folder import find_newest
from tellapart.predict.predictor import load_predictor

Args = dict[str, Any]


class Canary:
    """Sings when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def read(model: Path) -> Args:
    found: Args = json.loads((model / "model.json").read_text())
    return found


def write(model: Path, args: Args) -> None:
    (model / "model.json").write_text(json.dumps(args))


def set_args(**values: Any) -> Callable[[Path, Path], None]:
    def alter(model: Path, canary: Path) -> None:
        write(model, read(model) | values)

    return alter


def set_network(**values: Any) -> Callable[[Path, Path], None]:
    def alter(model: Path, canary: Path) -> None:
        args = read(model)
        write(model, args | {"network": args["network"] | values})

    return alter


def set_tuned(**architecture: Any) -> Callable[[Path, Path], None]:
    def alter(model: Path, canary: Path) -> None:
        network = {
            "name": "tuned",
            "backbone": "x",
            "architecture": {"name": "resnet18", "settings": {}} | architecture,
            "image_size": 32,
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
            "features": 512,
            "head": {},
        }
        text = json.dumps(read(model) | {"network": network})
        (model / "model.json").write_text(text.replace("CANARY", str(canary)))

    return alter


def set_weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path, Path], None]:
    """Change tensors, and the hash with them, as a stranger would."""

    def alter(model: Path, canary: Path) -> None:
        path = model / "weights.safetensors"
        state = load_file(path)
        change(state)
        save_file(state, path)
        sign(model, path)

    return alter


def sign(model: Path, path: Path) -> None:
    args = read(model)
    args["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    write(model, args)


def put_pickle(model: Path, canary: Path) -> None:
    path = model / "weights.safetensors"
    path.write_bytes(pickle.dumps(Canary(canary)))
    sign(model, path)


def put_torch(model: Path, canary: Path) -> None:
    path = model / "weights.safetensors"
    torch.save(Canary(canary), path)
    sign(model, path)


def put_reference(model: Path, canary: Path) -> None:
    path = model / "reference.safetensors"
    path.write_bytes(pickle.dumps(Canary(canary)))
    sign(model, path)


def set_reference(**arrays: Any) -> Callable[[Path, Path], None]:
    """Change what is known of training images, and the hash with it."""

    def alter(model: Path, canary: Path) -> None:
        path = model / "reference.safetensors"
        path.write_bytes(save_arrays(load_arrays(path.read_bytes()) | arrays))
        sign(model, path)

    return alter


def link_out(model: Path, canary: Path) -> None:
    secret = canary.with_name("secret")
    secret.write_bytes((model / "weights.safetensors").read_bytes())
    (model / "weights.safetensors").unlink()
    (model / "weights.safetensors").symlink_to(secret)


def pipe_args(model: Path, canary: Path) -> None:
    (model / "weights.safetensors").unlink()
    os.mkfifo(model / "weights.safetensors")


def name_outside(model: Path, canary: Path) -> None:
    args = read(model)
    digest = args["files"].pop("weights.safetensors")
    write(model, args | {"files": {"../secret": digest}})


def cut_weights(model: Path, canary: Path) -> None:
    path = model / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def claim_tensors(model: Path, canary: Path) -> None:
    """A header that claims a terabyte."""
    path = model / "weights.safetensors"
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    sign(model, path)


def fill_args(model: Path, canary: Path) -> None:
    (model / "model.json").write_bytes(b" " * 30_000_000)


def nest_args(model: Path, canary: Path) -> None:
    (model / "model.json").write_text("[" * 100_000)


def lose_weights(model: Path, canary: Path) -> None:
    (model / "weights.safetensors").unlink()


ALTERED: dict[str, Callable[[Path, Path], None]] = {
    "no json": lambda model, canary: (model / "model.json").write_text("{"),  # type: ignore[dict-item]
    "deep json": nest_args,
    "huge json": fill_args,
    "another form": set_args(form=2),
    "unknown field": set_args(run="rm"),
    "temperature 0": set_args(temperature=0),
    "no classes": set_args(classes=[]),
    "another class more": set_args(classes=[str(number) for number in range(11)]),
    "scale upside down": set_args(preprocessing={"image_size": 8, "channels": 1, "black": 70_000}),
    "huge images": set_args(preprocessing={"image_size": 10**9, "channels": 1}),
    "no such network": set_network(name="os.system"),
    "huge network": set_network(width=10**12),
    "setting of another": set_network(blocks=3),
    "a backbone from the hub": set_tuned(name="hf-hub:stranger/model"),
    "a backbone from a folder": set_tuned(name="local-dir:CANARY"),
    "a checkpoint to load": set_tuned(settings={"checkpoint_path": "CANARY"}),
    "weights to fetch": set_tuned(settings={"pretrained": True}),
    "layers without end": set_tuned(settings={"layers": [10**9] * 4}),
    "pickled weights": put_pickle,
    "torch's file": put_torch,
    "pickled reference": put_reference,
    "features of another width": set_reference(vectors=np.zeros((1000, 3), np.float16)),
    "pictures one over the other": set_reference(**{"pictures end": np.arange(1000)[::-1].copy()}),
    "a picture that is none": set_reference(
        pictures=np.zeros(1000, np.uint8), **{"pictures end": np.arange(1, 1001)}
    ),
    "labels of no class": set_reference(labels=np.full(1000, 10)),
    "a link": link_out,
    "a pipe": pipe_args,
    "a name outside": name_outside,
    "cut weights": cut_weights,
    "a terabyte": claim_tensors,
    "no weights": lose_weights,
    "a tensor less": set_weights(lambda state: state.pop(next(iter(state)))),
    "a tensor more": set_weights(lambda state: state.update(other=torch.zeros(1))),
    "not a number": set_weights(lambda state: next(iter(state.values())).fill_(np.nan)),
    "whole numbers": set_weights(
        lambda state: state.update({name: one.int() for name, one in state.items()})
    ),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_a_strangers_model_is_refused_in_a_line(
    kind: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    ALTERED[kind](model, canary)
    with pytest.raises(UserError) as refused:
        load_predictor(model)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 600
    assert not canary.exists()
    made = {path.name for path in tmp_path.rglob("*")} - {path.name for path in before}
    assert made <= {"secret"}


def test_a_model_may_lose_its_pictures(model: Path, photos: Path) -> None:
    (model / "reference.safetensors").unlink()
    answers = load_predictor(model)(photos)
    assert answers.unlike is None


def test_a_changed_byte_is_refused(model: Path) -> None:
    for name in ("weights.safetensors", "reference.safetensors"):
        path = model / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(TellapartError, match="was altered"):
            load_predictor(model)


def test_the_newest_study_is_found(
    handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no study in runs/ has one"):
        find_newest()
    for number, name in enumerate(("b", "a")):
        folder = tmp_path / "runs" / name / "model"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        os.utime(folder / "model.json", (number, number))
    assert find_newest() == Path("runs/a")


def test_what_is_no_model_is_said(tmp_path: Path, handed: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        load_predictor(tmp_path / "x")
    with pytest.raises(UserError, match="is another folder"):
        load_predictor(tmp_path)
    (tmp_path / "identity.json").write_text("{}")
    with pytest.raises(UserError, match="unfinished"):
        load_predictor(tmp_path)
