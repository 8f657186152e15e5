"""A run on disk: safetensors, JSON and CSV, with everything that prediction needs. No pickle."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from tellapart.config import Positive, Settings, TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.errors import DataError, NotFinite
from tellapart.models import Network, NetworkSettings, Shape, make_model
from tellapart.models.tuned import TunedSettings
from tellapart.records import EpochRow, RunRecord, StatusRecord
from tellapart.workspace import (
    STATUS,
    read_checked,
    read_record,
    write_bytes,
    write_json,
    write_text,
)

ARGS, RECORD = "args.json", "record.json"
BEST = Path("weights", "best.safetensors")
CHOICE = "choice.npy"
"""What the best epoch made of each image that it was chosen on, in the order of the split."""
State = dict[str, torch.Tensor]


class Preprocessing(Settings):
    """What an image goes through before a network sees it."""

    image_size: Positive
    channels: Annotated[int, Field(ge=1, le=3)]
    resize: str = "whole image to a square, bilinear, antialiased"
    scale: str = "uint8 / 255"
    views: tuple[str, ...]


class NetworkArgs(Settings):
    """``args.json`` of a network: all that it takes to build it and to predict with it."""

    kind: Literal["network"] = "network"
    model: TunedSettings | Network
    recipe: TrainSettings
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    data: str
    fingerprint: str


def copy_state(network: nn.Module) -> State:
    """Return a copy of the weights, contiguous and in main memory."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }


def save_weights(path: Path, state: State) -> str:
    """Write weights as safetensors, whole or not at all; return their SHA-256, hexadecimal."""
    content = save(state)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def read_weights(path: Path, digest: str) -> State:
    """Read a safetensors file whose SHA-256 a record has.

    Raises:
        WorkspaceError: the file is missing, or was altered.
        DataError: it holds no weights, or numbers that are not finite.
    """
    try:
        state = load(read_checked(path, digest))
    except SafetensorError as error:
        raise DataError(f"{path} is not a readable safetensors file ({error})") from error
    for name, tensor in state.items():
        if not is_finite(tensor):
            raise DataError(f"weights must be finite, but {name} in {path} is not; train it again")
    return state


def write_args(
    folder: Path, dataset: Dataset, model: NetworkSettings, recipe: TrainSettings
) -> None:
    """Write ``args.json``: settings, class names and preprocessing of the model in a folder."""
    seen = Preprocessing(
        image_size=dataset.image_size,
        channels=dataset.channels,
        views=("image", "mirror image") if recipe.mirrors else ("image",),
    )
    args = NetworkArgs(
        model=model,
        recipe=recipe,
        classes=dataset.classes,
        preprocessing=seen,
        data=dataset.name,
        fingerprint=dataset.fingerprint,
    )
    write_json(folder / ARGS, args)


def load_model(folder: Path, weights: str) -> tuple[nn.Module, NetworkArgs]:
    """Return the network of a run folder with its best weights, and its ``args.json``.

    ``weights`` is their SHA-256, which the run's record has.

    Raises:
        DataError: weights of another network, or not finite.
        WorkspaceError: weights missing or altered, or no readable ``args.json``.
    """
    args = read_record(folder / ARGS, NetworkArgs)
    shape = Shape(args.preprocessing.channels, args.preprocessing.image_size, len(args.classes))
    network = make_model(args.model, shape)
    load_strictly(network, read_weights(folder / BEST, weights), folder)
    return network, args


def is_finite(tensor: torch.Tensor) -> bool:
    """Return whether a tensor holds neither infinities nor what is not a number."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def load_strictly(network: nn.Module, state: State, where: Path) -> None:
    """Load weights that must match the network by name and shape.

    Raises:
        DataError: a name or a shape differs.
    """
    own = network.state_dict()
    for name in own.keys() | state.keys():
        if name not in own or name not in state or own[name].shape != state[name].shape:
            raise DataError(f"the weights in {where} are of another network: {name} differs")
    network.load_state_dict(state)


def save_choice(folder: Path, predicted: NDArray[np.int64]) -> str:
    """Write (n,) predicted classes of the images that a run was chosen on; return their SHA-256."""
    buffer = io.BytesIO()
    np.save(buffer, predicted.astype(np.min_scalar_type(int(predicted.max(initial=0)))))
    write_bytes(folder / CHOICE, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_choice(folder: Path, digest: str) -> NDArray[np.int64]:
    """Return what `save_choice` wrote; a WorkspaceError if it is missing or was altered."""
    content = io.BytesIO(read_checked(folder / CHOICE, digest))
    found: NDArray[np.int64] = np.load(content, allow_pickle=False).astype(np.int64)
    return found


def write_history(path: Path, history: Sequence[EpochRow], metric: str = "accuracy") -> None:
    """Write ``history.csv``, one line an epoch; the score by which it is chosen has its name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [name for name in EpochRow.model_fields if name != "val_score"]
    heading = list(names)
    if metric != "accuracy":
        names, heading = [*names, "val_score"], [*names, f"val_{metric}"]
    writer.writerow(heading)
    for row in history:
        writer.writerow(f"{getattr(row, name):.6g}" for name in names)
    write_text(path, text.getvalue())


def finish_run(folder: Path, record: RunRecord) -> None:
    """Mark a run as done by its record, and remove what it could have gone on from."""
    write_json(folder / RECORD, record)
    (folder / STATUS).unlink(missing_ok=True)
    remove_checkpoints(folder)


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run folder, the newest first."""
    return sorted((folder / "resume").glob("*.safetensors"), reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a run folder, where that can be done."""
    with suppress(OSError):
        for path in (folder / "resume").glob("*"):
            path.unlink()
        (folder / "resume").rmdir()


def read_failure(folder: Path) -> NotFinite | None:
    """Return how the training of a run folder failed, or None if it did not."""
    if not (folder / STATUS).is_file():
        return None
    found = read_record(folder / STATUS, StatusRecord)
    error = NotFinite(found.note)
    error.seconds = found.seconds
    return error
