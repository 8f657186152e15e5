"""A model's folder: which it is, and whether it is whole; nothing in it is ever run."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import ValidationError

from tellapart.errors import WorkspaceError
from tellapart.records import PredictorArgs
from tellapart.workspace import IDENTITY, expand_path, read_checked

MODEL = "model"
"""The folder of a study that holds its model."""
ARGS, WEIGHTS, REFERENCE = "model.json", "weights.safetensors", "reference.safetensors"
MOST_ARGS = 20_000_000
"""Bytes of the largest ``model.json`` that is read."""


def find_folder(path: str | Path) -> Path:
    """Return the folder of a model: a study's, or that itself.

    Raises:
        WorkspaceError: there is none.
    """
    path = expand_path(path)
    for folder in (path, path / MODEL):
        if (folder / ARGS).is_file():
            return folder
    if (path.parent / IDENTITY).is_file():
        raise WorkspaceError(
            f"the model of a study is in its folder {MODEL}, but {path} is another part of it; "
            f"give {path.parent}"
        )
    if (path / IDENTITY).is_file():
        raise WorkspaceError(
            f"{path} has no {MODEL}/{ARGS}: it is unfinished, trained no model, or was made by an "
            "older version; start its command again to go on with it"
        )
    what = (
        "is another folder" if path.is_dir() else "is a file" if path.exists() else "is not there"
    )
    raise WorkspaceError(
        f"a model is a study's folder, its folder {MODEL}, or an exported file, but {path} {what}; "
        "name one such as runs/digits-study-1"
    )


def find_newest(root: Path = Path("runs")) -> Path:
    """Return the study here whose model was written last.

    Raises:
        WorkspaceError: there is none.
    """
    found = sorted(root.glob(f"*/{MODEL}/{ARGS}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise WorkspaceError(
            f"a model is needed, but no study in {root}/ has one; run tellapart study, or give "
            "the folder of one"
        )
    return found[-1].parent.parent


def read_args(folder: Path) -> PredictorArgs:
    """Read ``model.json``.

    Raises:
        WorkspaceError: it is missing, damaged, of another version, or not a plain file.
    """
    return parse_args(read_plain(folder / ARGS, MOST_ARGS), folder / ARGS)


def parse_args(content: bytes | str, path: Path) -> PredictorArgs:
    """Return what ``model.json``, or an exported file, says of a model; ``path`` names it.

    Raises:
        WorkspaceError: it is damaged, or of another version.
    """
    try:
        return PredictorArgs.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        said = str(first["msg"]).removeprefix("Value error, ")
        raise WorkspaceError(
            f"{path} was altered, or is of another version ({place}{said:.200}); "
            "take the model from its study again"
        ) from error


def read_file(folder: Path, name: str, args: PredictorArgs) -> bytes:
    """Return a file of a model's folder whose SHA-256 ``model.json`` has."""
    if name not in args.files:
        raise WorkspaceError(
            f"{folder / ARGS} names no {name}; take the model from its study again"
        )
    read_plain(folder / name, 0)
    return read_checked(folder / name, args.files[name])


def read_plain(path: Path, most: int) -> bytes:
    """Return up to ``most`` bytes of a file that is no link, pipe or device; refuse a larger one.

    With 0, its kind alone is looked at.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise WorkspaceError(
                f"{path} must be a plain file of the model, but is a link or something else; copy "
                "the folder as a whole"
            )
        if not most:
            return b""
        if status.st_size > most:
            raise WorkspaceError(f"{path} must have {most:,} bytes at most; it is no model's")
        return path.read_bytes()
    except OSError as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error.strerror}); copy the folder as a whole"
        ) from error
