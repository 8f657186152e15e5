"""``model.json``: all that a model needs beside its weights, read without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tellapart.records.base import Record
from tellapart.records.runs import Estimate

FORM = 1
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Surest(Record):
    """Of the ``count`` surest answers, from confidence ``threshold`` on, so many are wrong."""

    count: Annotated[int, Field(ge=1)]
    wrong: Annotated[int, Field(ge=0)]
    threshold: Share


class Preprocessed(Record):
    """What becomes of an image before the network: the whole is squashed to a square.

    ``image_size`` pixels wide and high, ``channels`` 1 or 3; values of more than 8 bits from
    ``black`` to ``white`` become 0 to 255, ``eight`` is white in grey images of 8 bits, transparent
    ones lie on ``ground``. ``mirrored``: logits are the mean of an image's and its mirror image's.
    """

    image_size: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3]
    black: float = 0.0
    white: float = 65_535.0
    eight: Positive = 255.0
    ground: Annotated[int, Field(ge=0, le=255)] = 255
    mirrored: bool = False

    @model_validator(mode="after")
    def check_scale(self) -> Preprocessed:
        """Refuse a scale without values."""
        if not self.black < self.white:
            said = f"{self.black:g} and {self.white:g}"
            raise ValueError(f"black must be below white, but got {said}")
        return self


class PredictorArgs(Record):
    """A model that left its study.

    ``network`` has the settings of `NETWORKS`, or of a backbone and its head. Logits are divided
    by ``temperature``. ``surest`` is the risk-coverage curve of ``tested`` test images, empty where
    these chose something. An image whose features lie further than ``unlike`` from those of
    training is flagged, as ``false_alarms`` of the val images are. ``score`` is its score by
    ``metric`` on the study's test images, ``accuracy`` its accuracy, which is that of as many
    independent images as ``effective`` says (None: of all), and ``optimistic`` where they chose its
    epoch. ``colour``: some training images are in colour. ``files`` are the SHA-256 of the files
    beside.
    """

    form: Literal[1] = 1
    version: str
    name: str
    study: str
    step: str
    data: str
    fingerprint: str
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    preprocessing: Preprocessed
    network: dict[str, Any]
    colour: bool = True
    license: str = ""
    temperature: Annotated[float, Field(ge=0.01, le=100)]
    surest: tuple[Surest, ...] = ()
    tested: int = 0
    unlike: float | None = None
    false_alarms: Share = 0.0
    metric: str
    score: Estimate
    accuracy: Estimate
    effective: Annotated[float, Field(ge=1)] | None = None
    optimistic: bool = False
    files: dict[str, str] = Field(default_factory=dict)
