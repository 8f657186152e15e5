"""A dataset: images behind one ``read``, labels, class names, and a fingerprint of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ReadSettings
from tellapart.data.tone import PLAIN, Tone
from tellapart.records import Excluded
from tellapart.workspace import write_bytes

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]


class ImageSource(Protocol):
    """Where pixels come from.

    One that decodes files may have ``resize(size)`` too, and one that can be handed to other
    processes without a copy of its pixels ``share(path)``; both return a source.
    """

    @property
    def streamed(self) -> bool:
        """Whether images are decoded at each read, and not held in memory."""

    @property
    def tone(self) -> Tone:
        """What became black and white when values were scaled to 8 bits."""

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        """Return images as (k, height, width, channels) uint8, of side ``size`` if it can.

        A source that holds pixels gives its own size, and the caller resizes.
        """


class ArraySource:
    """Images held in memory, (n, height, width, channels) uint8."""

    streamed = False

    def __init__(self, pixels: Pixels, tone: Tone = PLAIN) -> None:
        assert pixels.dtype == np.uint8 and pixels.ndim == 4, (pixels.dtype, pixels.shape)
        self.pixels, self.tone = pixels, tone

    def read(self, indices: Indices, size: int | None = None) -> Pixels:
        return self.pixels[indices]

    def share(self, path: Path) -> ArraySource:
        write_bytes(path, np.ascontiguousarray(self.pixels).reshape(-1).data)
        return MappedSource(path, self.pixels.shape, self.tone)


class MappedSource(ArraySource):
    """Images in a file that the system reads as they are needed, for several processes once."""

    def __init__(self, path: Path, shape: tuple[int, ...], tone: Tone = PLAIN) -> None:
        super().__init__(np.memmap(path, np.uint8, "r", shape=shape), tone)
        self._path = path

    def __reduce__(self) -> tuple[type[MappedSource], tuple[Path, tuple[int, ...], Tone]]:
        return MappedSource, (self._path, self.pixels.shape, self.tone)

    def share(self, path: Path) -> ArraySource:
        return self


class Copy(NamedTuple):
    """Two rows of one picture, how alike they are (at most 1), and whether one is mirrored."""

    first: int
    second: int
    alike: float
    mirrored: bool


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled images from one source.

    Attributes:
        name: short, for folders and titles.
        origin: what was read, in words, without machine paths.
        classes: class names; ``labels`` index them.
        labels: (n,) int64.
        source: gives the pixels.
        hashes: one hexadecimal hash of the content per image; equal hashes are equal images.
        roles: per image ``train``, ``val``, ``test``, or empty where the source gives no role.
        image_size: side of the square images that networks from scratch see, in pixels.
        size_reason: why that size, in words.
        channels: 1 or 3.
        sizes: how many files have which ``width x height``.
        modes: how many files have which colour mode.
        notes: what a user should know, such as a partial copy.
        excluded: files left out, with the reason.
        files: per image the name of its file below ``folder``; none where images have no files.
        folder: where they lie, for data that have no name of their own.
        names: per image the name of its group, or empty; none where no groups are known.
        facts: what else a table says of each image, by column.
        read: how it was told to be read.
        copies: pairs of images that show one picture but are not equal to the byte.
    """

    name: str
    origin: str
    classes: tuple[str, ...]
    labels: Labels
    source: ImageSource
    hashes: tuple[str, ...]
    roles: tuple[str, ...]
    image_size: int
    size_reason: str
    channels: int
    sizes: dict[str, int]
    modes: dict[str, int]
    notes: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    files: tuple[str, ...] = ()
    folder: str = ""
    names: tuple[str, ...] = ()
    facts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: ReadSettings = field(default_factory=ReadSettings)
    copies: tuple[Copy, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.labels) == len(self.hashes) == len(self.roles)
        assert {len(self.files), len(self.names)} <= {0, len(self.labels)}

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}: {len(self):,} images of {len(self.classes):,} classes, "
            f"{self.image_size} px, {self.channels} channel{'s' if self.channels > 1 else ''})"
        )

    def __len__(self) -> int:
        return len(self.labels)

    def name_row(self, row: int) -> str:
        """Return the name of an image: its file's, or its row where there are no files."""
        return self.files[row] if self.files else f"row {row}"

    @cached_property
    def pictures(self) -> Labels:
        """The picture of each image, (n,): copies have one number, to the byte or nearly equal."""
        return self._join(np.unique(self.hashes, return_inverse=True)[1])

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Per image a text that images which belong together share: the name of their group.

        Copies of one picture belong together, whatever their groups are called; an image that is
        alone has its hash.
        """
        if not self.names and not self.copies:
            return self.hashes
        names = self.names or ("",) * len(self)
        numbers = np.unique(names, return_inverse=True)[1]
        # a row of no group is a group of its own
        alone = numbers.max() + 1 + np.arange(len(self))
        component = self._join(self.pictures, np.where(np.array(names) == "", alone, numbers))
        pairs = zip(names, self.hashes, strict=True)
        own = [f"group {name}" if name else digest for name, digest in pairs]
        first: dict[int, str] = {}
        for place, key in sorted(zip(component.tolist(), own, strict=True), key=_names_first):
            first.setdefault(place, key)
        return tuple(first[place] for place in component.tolist())

    def _join(self, *numbers: Labels) -> Labels:
        """Return the number of each image's component: images with one number are linked."""
        from scipy import sparse

        rows = np.arange(len(self))
        ends = [np.stack([rows, _find_first(own)]) for own in numbers]
        ends.append(np.array([one[:2] for one in self.copies], np.int64).reshape(-1, 2).T)
        edges = np.concatenate(ends, 1)
        graph = sparse.coo_array((np.ones(edges.shape[1]), edges), (len(self), len(self)))
        found: Labels = sparse.csgraph.connected_components(graph, directed=False)[1]
        return found.astype(np.int64)

    @cached_property
    def groups(self) -> Labels:
        """The group of each image, (n,): those that belong together have one number."""
        return np.unique(self.keys, return_inverse=True)[1].astype(np.int64)

    def find_groups(self, rows: Indices) -> Labels | None:
        """Return the group of each of (k,) rows, from 0 on; None where each image is alone."""
        names, found = np.unique(self.groups[rows], return_inverse=True)
        return None if len(names) == len(rows) else found.astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over classes, and each image's hash, label, role and group."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        columns = (self.hashes, self.labels.tolist(), self.roles)
        rows = zip(*columns, *((self.names,) if self.names else ()), strict=True)
        for row in sorted(rows):
            digest.update(repr(row).encode())
        return digest.hexdigest()[:12]


def _find_first(numbers: Labels) -> Labels:
    """Return for each of (n,) numbers the row where it stands first."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _names_first(pair: tuple[int, str]) -> tuple[bool, str]:
    return not pair[1].startswith("group "), pair[1]


def share_dataset(dataset: Dataset, path: Path) -> Dataset:
    """Return a dataset that other processes can be handed without a copy of its pixels.

    Pixels in memory are written to ``path``, which must stay while the dataset is in use.
    """
    share = getattr(dataset.source, "share", None)
    source = dataset.source if share is None else share(path)
    return replace(dataset, source=source, facts={})  # which are for the audit alone


def resize_dataset(dataset: Dataset, size: int) -> Dataset:
    """Return a dataset whose images are read at another side, in pixels.

    Where the source holds pixels and not files, it is the same: whoever wants another size resizes.
    """
    resize = getattr(dataset.source, "resize", None)
    if size == dataset.image_size or resize is None:
        return dataset
    return replace(dataset, source=resize(size), image_size=size)


class Part(NamedTuple):
    """Images in memory of one role, (n, height, width, channels) uint8, and their labels."""

    role: str
    labels: Labels
    pixels: Pixels


def join_parts(
    name: str,
    title: str,
    classes: tuple[str, ...],
    parts: Sequence[Part],
    notes: Sequence[str] = (),
    tone: Tone = PLAIN,
) -> Dataset:
    """Return a dataset of images of one size that are held in memory.

    Roles are kept where there is a val or test among them, and counted in ``origin``, after
    ``title``.
    """
    pixels = np.ascontiguousarray(np.concatenate([part.pixels for part in parts]))
    tested = any(part.role == "test" for part in parts)
    divided = tested or any(part.role == "val" for part in parts)
    roles = [part.role if divided else "" for part in parts for _ in part.labels]
    counts, notes = f"{len(pixels):,} images", list(notes)
    if tested:
        counts = f"{roles.count('train'):,} train and {roles.count('test'):,} test images"
    elif any(part.role for part in parts):
        counts += ", no official test"
        notes.append("the test is missing: there is no official test, so one is carved out")
    height, width, channels = pixels.shape[1:]
    return Dataset(
        name=name,
        origin=f"{title}: {counts}",
        classes=classes,
        labels=np.concatenate([part.labels for part in parts]),
        source=ArraySource(pixels, tone),
        hashes=hash_pixels(pixels),
        roles=tuple(roles),
        image_size=height,
        size_reason=f"{height} px: the images' own size",
        channels=channels,
        sizes={f"{width}x{height}": len(pixels)},
        modes={"L" if channels == 1 else "RGB": len(pixels)},
        notes=tuple(notes),
    )


def list_untrained(classes: Sequence[str], labels: Labels, roles: Sequence[str]) -> list[str]:
    """Return the classes that no image is of which may be trained on, by (n,) labels and roles."""
    trained = np.isin(np.array(roles, "U5"), ("", "train"))
    counts = np.bincount(labels[trained], minlength=len(classes))
    return [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]


def rank_content(text: str) -> bytes:
    """Return what stands for a random number that depends on a text alone."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def hash_pixels(pixels: Pixels) -> tuple[str, ...]:
    """Return one hash per image of (n, height, width, channels) uint8."""
    shape = repr(pixels.shape[1:]).encode()
    return tuple(
        hashlib.blake2b(image.tobytes(), digest_size=12, key=shape).hexdigest() for image in pixels
    )
