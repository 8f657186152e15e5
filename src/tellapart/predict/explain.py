"""Why an image is called what it is: where the evidence lies, and what it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tellapart.data.dataset import Pixels
from tellapart.errors import DataError, NotFinite, SettingError, suggest_name
from tellapart.predict.inputs import Item
from tellapart.predict.pictures import overlay_heat
from tellapart.predict.predictor import Predictor
from tellapart.predict.reference import Reference

Numbers = NDArray[np.float32]
NEAREST = 5
"""Training images that are shown."""


@dataclass(frozen=True)
class Neighbour:
    """A training image that is near: its place in the reference, its class, and a small JPEG."""

    place: int
    label: str
    distance: float
    picture: bytes


@dataclass(frozen=True)
class Explanation:
    """What a model makes of one image, and why.

    ``pixels`` (size, size, channels) uint8 are what the network saw, ``probabilities`` (classes,).
    ``heat`` (size, size), 0 to 1, is where the evidence for class ``heated`` lies; None where no
    layer of the network has a width and a height, all 0 where nothing speaks for the class.
    ``unlike`` and ``odd`` are those of `Answers`.
    """

    name: str
    classes: tuple[str, ...]
    pixels: Pixels
    probabilities: Numbers
    heated: str
    heat: Numbers | None
    neighbours: tuple[Neighbour, ...]
    unlike: bool
    odd: bool

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[int(self.probabilities.argmax())]

    def list_likeliest(self, count: int) -> list[tuple[str, float]]:
        """Return the likeliest classes with their probabilities."""
        order = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [(self.classes[place], float(self.probabilities[place])) for place in order]


def explain_image(predictor: Predictor, item: Item, name: str | None = None) -> Explanation:
    """Classify an image, and say why: the evidence for class ``name``, or for the likeliest.

    A predictor is asked by one thread at a time.

    Raises:
        DataError: the image cannot be read.
        SettingError: the model is an exported file, or has no such class.
    """
    import torch

    from tellapart.predict.heatmap import map_evidence

    network, classes = predictor.network, predictor.classes
    if network is None:
        raise SettingError(
            "explain needs the model's gradients, which an exported file has not; give the study "
            "that it is from, such as runs/digits-study-1"
        )
    if name is not None and name not in classes:
        raise SettingError(
            f"--class must be a class of the model, but got {name!r}{suggest_name(name, classes)}"
        )
    read = predictor.read(item)
    if isinstance(read, DataError):
        raise DataError(f"{item.name} cannot be explained: {read}") from read
    pixels, odd, _ = read
    device = next(network.parameters()).device
    with torch.inference_mode():
        seen = network(torch.from_numpy(pixels[None]).to(device))
    probabilities, features = (part.float().cpu().numpy() for part in seen)
    if not np.isfinite(probabilities).all():
        raise NotFinite("a probability is not finite: the model cannot be used")
    place = int(probabilities[0].argmax()) if name is None else classes.index(name)
    heat = map_evidence(network, pixels[None], np.array([place]))
    reference, limit = predictor.reference, predictor.args.unlike
    far = 0.0 if reference is None else float(reference.measure(features)[0])
    return Explanation(
        name=item.name,
        classes=classes,
        pixels=pixels,
        probabilities=probabilities[0],
        heated=classes[place],
        heat=None if heat is None else heat[0],
        neighbours=list_neighbours(reference, features, classes)[0],
        unlike=limit is not None and far > limit,
        odd=odd,
    )


def list_neighbours(
    reference: Reference | None, features: Numbers, classes: Sequence[str], count: int = NEAREST
) -> list[tuple[Neighbour, ...]]:
    """Return the nearest training images of each of (k, width) features, the nearest first."""
    if reference is None:
        return [()] * len(features)
    places, distances = reference.find(features, count)
    return [
        tuple(
            Neighbour(place, classes[int(reference.labels[place])], far, reference.pictures[place])
            for place, far in zip(own.tolist(), row.tolist(), strict=True)
        )
        for own, row in zip(places, distances, strict=True)
    ]


def draw_overlay(explanation: Explanation, side: int) -> Image.Image:
    """Return the image with its evidence in colour, ``side`` pixels wide; without, the image."""
    return overlay_heat(explanation.pixels, explanation.heat, side)


def say_share(share: float) -> str:
    """Return a probability in per cent, which is never said to be none or certain.

    >>> say_share(0.4567), say_share(0.0), say_share(1.0)
    ('45.7 %', '< 0.1 %', '> 99.9 %')
    """
    if 0.001 <= share < 0.9995:
        return f"{100 * share:.1f} %"
    return "< 0.1 %" if share < 0.5 else "> 99.9 %"
