"""Arrays of images and labels: .npz, pairs of .npy, .h5 (extra ``hdf5``), those of a program."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.config import ReadSettings
from tellapart.data.dataset import Dataset, Labels, Part, Pixels, join_parts, list_untrained
from tellapart.data.layout import find_role
from tellapart.data.listing import show_name, sort_naturally
from tellapart.data.loading import choose_size
from tellapart.data.tone import Depth, Tone, choose_tone, measure_depth, scale_values
from tellapart.errors import DataError

Array = NDArray[Any]
ARRAYS = (".npz", ".npy", ".h5", ".hdf5")
IMAGES = {"x", "image", "images", "img", "imgs", "data", "pixels"}
LABELS = {"y", "label", "labels", "target", "targets"}
NAMES = {"classes", "names"}
"""Words that the keys of arrays, or names of files, are made of: x_train, test_labels."""
MAGIC = b"\x93NUMPY"
WIDEST = 8
"""Bytes of a number in an array, at most: of pixels one each is held."""


def load_arrays(path: Path, settings: ReadSettings, memory_limit: int) -> Dataset:
    """Read a file of arrays; of ``.npy`` files that with labels beside it, too.

    Keys say what an array is: ``x_train`` and ``y_train``, ``images`` and ``labels``, and the like.

    Raises:
        DataError: it cannot be read, has no images or labels, or does not fit into memory.
    """
    suffix, found = path.suffix.lower(), dict[str, Array]()
    for file in find_partners(path):
        try:
            if suffix == ".npz":
                found |= _read_npz(file, settings, memory_limit)
            elif suffix == ".npy":
                with file.open("rb") as stream:
                    if stream.read(len(MAGIC)) != MAGIC:
                        raise ValueError("it does not begin as one does")
                found[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
            else:
                found |= _read_hdf5(file, settings, memory_limit)
        except (ValueError, OSError, EOFError, KeyError, AttributeError, BadZipFile) as error:
            pickled = re.search("pickle|Python obj", str(error)) is not None
            raise DataError(
                f"{show_name(file.name)} is no file of arrays that can be read "
                f"({'it holds pickled objects' if pickled else error}); save arrays of numbers, as "
                "numpy.savez does"
            ) from error
    made = join_arrays(sort_arrays(found, path.name, settings), path.stem, memory_limit)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.casefold()).strip("-") or "arrays"
    where = os.fsencode(path.resolve()).decode("utf-8", "backslashreplace")
    return replace(made, name=name, folder=where)


def _name_kind(key: str, settings: ReadSettings) -> str:
    """Return what an array of a key holds: images, labels, names of classes, or nothing known."""
    last = key.rpartition("/")[2]
    if settings.image_column in (key, last):
        return "images"
    if settings.label_column in (key, last):
        return "labels"
    words = set(_split_words(last))
    if words & {"id", "ids"}:
        return ""
    if words & NAMES:
        return "names"
    if words & LABELS:
        return "" if settings.label_column else "labels"
    return "images" if words & IMAGES and not settings.image_column else ""


def _check_size(count: int, name: str, memory_limit: int) -> None:
    """Refuse bytes that would not fit into memory, before they are read."""
    if count > WIDEST * memory_limit:
        raise DataError(
            f"arrays must fit into memory, but {name} has {count / 1e9:.1f} GB; write its images "
            "as files"
        )


def _read_npz(path: Path, settings: ReadSettings, memory_limit: int) -> dict[str, Array]:
    if not is_zipfile(path):
        raise ValueError("it is cut short, or no archive of arrays")
    with np.load(path, allow_pickle=False) as opened:
        if not hasattr(opened, "files"):
            raise ValueError("it is a single array, and no archive of them")
        sizes = {info.filename: info.file_size for info in opened.zip.infolist()}
        known = [key for key in opened.files if f"{key}.npy" in sizes]
        keys = [key for key in known if _name_kind(key, settings)]
        _check_size(sum(sizes[f"{key}.npy"] for key in keys), path.name, memory_limit)
        others = {key: np.empty(0) for key in known if key not in keys}
        return others | {key: opened[key] for key in keys}


def find_partners(path: Path) -> list[Path]:
    """Return a file, and those beside it of the same split's labels: ``x_train``, ``y_train``."""
    if path.suffix.lower() == ".npz":
        return [path]
    beside = [
        other
        for other in sorted(path.parent.glob(f"*{path.suffix}"))
        if other != path and _rest(other.stem) == _rest(path.stem)
    ]
    return [path, *beside]


def _split_words(key: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).casefold())


def _rest(key: str) -> list[str]:
    return [word for word in _split_words(key) if word not in IMAGES | LABELS]


def _read_hdf5(path: Path, settings: ReadSettings, memory_limit: int) -> dict[str, Array]:
    """Return the arrays at the top of an HDF5 file; nothing outside of it is opened."""
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path.name} is an HDF5 file; to read it, pip install 'tellapart[hdf5]'"
        ) from None
    with h5py.File(path, "r") as file:
        found = dict[str, Array]()
        for key in file:
            if not isinstance(file.get(key, getlink=True), h5py.HardLink):
                raise DataError(f"{path.name} must hold its arrays, but {key!r} is a link; copy it")
            entry = file[key]
            if not isinstance(entry, h5py.Dataset):
                continue
            if entry.external or entry.is_virtual:
                raise DataError(
                    f"{path.name} must hold its arrays, but {key!r} lies in other files; copy it"
                )
            whole = f"{path.stem}/{key}" if len(_split_words(key)) == 1 else key
            found[whole] = np.empty(0)
            if _name_kind(whole, settings):
                _check_size(entry.nbytes, path.name, memory_limit)
                text = h5py.check_string_dtype(entry.dtype) is not None
                found[whole] = np.asarray(entry.asstr()[()] if text else entry[()])
    return found


def sort_arrays(
    found: Mapping[str, Array], name: str, settings: ReadSettings
) -> tuple[dict[str, tuple[Array, Array]], list[str]]:
    """Return images and labels by split, and the names of classes, if an array has them."""
    images: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    names: list[str] = []
    for key, array in found.items():
        kind, role = _name_kind(key, settings), find_role(key)
        if kind == "images":
            images[role] = array
        elif kind == "labels":
            labels[role] = array
        elif kind == "names" and array.ndim == 1:
            names = _read_labels(array, ())
    keys = ", ".join(found) or "none"
    for what, have in (("image", images), ("label", labels)):
        if not have:
            raise DataError(
                f"{name} must have an array of {what}s, but has {keys}; name it by --{what}-column"
            )
    if images.keys() != labels.keys():
        raise DataError(f"each split must have images and labels, but {name} has {keys}; add them")
    return {role: (images[role], labels[role]) for role in images}, names


def join_arrays(
    found: tuple[Mapping[str, tuple[Array, Array]], Sequence[str]], name: str, memory_limit: int
) -> Dataset:
    """Return the dataset of arrays by split, scaled alike to 8 bits, with the names of classes.

    Raises:
        DataError: shapes or labels that cannot be, or too large for the memory.
    """
    parts, names = found
    shaped = {role: _shape_images(images, role) for role, (images, _) in parts.items()}
    needed = sum(math.prod(images.shape) for images in shaped.values())
    if needed > memory_limit:
        raise DataError(
            f"arrays must fit into memory: {memory_limit / 1e9:.1f} GB are free for them, but "
            f"{name} has {needed / 1e9:.1f} GB of pixels; write them as files of images"
        )
    sides = {images.shape[1:] for images in shaped.values()}
    if len(sides) > 1:
        raise DataError(f"images of all splits must have one shape, but have {sorted(sides)}")
    if not all(len(images) for images in shaped.values()):
        raise DataError(f"arrays must have images, but some of {name} have none; leave these out")
    depths = [_measure(images) for images in shaped.values()]
    tone, said = choose_tone([one for one in depths if one], 0)
    labels, classes = _name_labels([label for _, label in parts.values()], names)
    made = []
    for own, (role, images) in zip(labels, shaped.items(), strict=True):
        if len(own) != len(images):
            raise DataError(
                f"images and labels must be as many, but {role or 'the arrays'} have "
                f"{len(images):,} and {len(own):,}; mend one"
            )
        made.append(Part(role, own, _square(_to_pixels(images, tone))))
    dataset = join_parts(
        show_name(name), f"arrays {show_name(name)}", classes, made, [said] * bool(said), tone
    )
    lost = list_untrained(classes, dataset.labels, dataset.roles)
    if lost and len(lost) < len(classes):  # of no training images at all the split tells
        raise DataError(
            f"every class must have images in train, but there are none of {', '.join(lost)}; "
            "add some, or remove these from val and test"
        )
    return dataset


def _shape_images(images: Array, role: str) -> Array:
    """Return images as (n, height, width, channels); flat ones and channels first are turned."""
    shape = images.shape
    if images.ndim == 2 and math.isqrt(shape[1]) ** 2 == shape[1]:
        side = math.isqrt(shape[1])
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and shape[3] in (1, 3):
        return images
    if images.ndim == 4 and shape[1] in (1, 3):
        return images.transpose(0, 2, 3, 1)
    raise DataError(
        "arrays of images must be (n, height, width), with 1 or 3 channels last or first, but got "
        f"{shape}{f' for {role}' if role else ''}; turn them, or leave other channels out"
    )


def _measure(images: Array) -> Depth | None:
    if images.dtype in (np.uint8, np.bool_):
        return None
    if images.dtype.kind not in "iuf":
        raise DataError(f"images must be numbers, but are {images.dtype}; save arrays of numbers")
    if images.dtype.kind == "f" and not np.isfinite(images).any():
        raise DataError("images must have values, but all of theirs are nan; make them anew")
    return measure_depth(images)


def _to_pixels(images: Array, tone: Tone) -> Pixels:
    if images.dtype == np.uint8:
        return np.asarray(images)
    if images.dtype == np.bool_:
        return np.asarray(images, np.uint8) * np.uint8(255)
    made = np.empty(images.shape, np.uint8)
    for first in range(0, len(images), 1000):  # so that little is held as wider numbers
        made[first : first + 1000] = scale_values(images[first : first + 1000], tone)
    return made


def _square(pixels: Pixels) -> Pixels:
    """Squash images to squares, as those of files are."""
    height, width, channels = pixels.shape[1:]
    if height == width:
        return pixels
    side, _ = choose_size([min(height, width)])
    made = np.empty((len(pixels), side, side, channels), np.uint8)
    for place, one in enumerate(pixels):
        image = Image.fromarray(one[..., 0] if channels == 1 else one)
        small = image.resize((side, side), Image.Resampling.BILINEAR)
        made[place] = np.asarray(small).reshape(side, side, channels)
    return made


def _name_labels(
    given: Sequence[Array], names: Sequence[str]
) -> tuple[list[Labels], tuple[str, ...]]:
    """Return labels as numbers of classes, and what these are called."""
    texts = [_read_labels(np.asarray(one), names) for one in given]
    classes = tuple(sorted({name for own in texts for name in own}, key=sort_naturally))
    if len(classes) < 2:
        raise DataError(f"labels must name two classes or more, but name {', '.join(classes)}")
    place = {name: number for number, name in enumerate(classes)}
    return [np.array([place[name] for name in own], np.int64) for own in texts], classes


def _read_labels(labels: Array, names: Sequence[str]) -> list[str]:
    if labels.ndim > 1 and math.prod(labels.shape[1:]) == 1:
        labels = labels.reshape(len(labels))
    if labels.ndim == 2:  # one column a class
        if set(np.unique(labels).tolist()) - {0, 1} or (labels.sum(1) != 1).any():
            raise DataError(
                "labels of several columns must have a single 1 in each row; several labels an "
                "image are not supported"
            )
        labels = labels.argmax(1)
    if labels.ndim != 1:
        raise DataError(f"labels must be (n,) or (n, classes), but got {labels.shape}")
    if labels.dtype.kind == "f" and len(odd := labels[labels != np.floor(labels)]):
        raise DataError(
            f"labels must be classes, but got numbers such as {odd[0]:g}; give whole numbers, or "
            "names"
        )
    if labels.dtype.kind in "iufb":
        numbers = labels.astype(np.int64).tolist()
        if names and min(numbers) >= 0 and max(numbers) < len(names):
            return [show_name(names[number]) for number in numbers]
        return [str(number) for number in numbers]
    return [
        show_name(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one))
        for one in labels.tolist()
    ]
