"""What a model answers: names, classes and probabilities of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.predict.engines import Numbers
from tellapart.predict.inputs import Item


@dataclass(frozen=True)
class Answers:
    """What a model makes of k images, in the order in which they were given.

    ``probabilities`` are (k, classes) float32. ``unlike`` (k,) are images that lie further from
    those of training than nearly all of val; ``odd`` (k,) those without the colour that the
    model was trained on, or with colour that it does not see. ``failed`` are the names of
    others, and why they could not be read. ``known`` counts
    files that the model was trained on or chosen by. ``features`` (k, width) are there where they
    were asked for.
    """

    classes: tuple[str, ...]
    items: tuple[Item, ...]
    probabilities: Numbers
    unlike: NDArray[np.bool_] | None
    odd: NDArray[np.bool_]
    failed: tuple[tuple[str, str], ...] = ()
    known: int = 0
    features: Numbers | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """How each image is shown."""
        return tuple(item.name for item in self.items)

    @property
    def labels(self) -> tuple[str, ...]:
        """The likeliest class of each image."""
        return tuple(self.classes[place] for place in self.probabilities.argmax(1).tolist())

    @property
    def confidence(self) -> Numbers:
        """The probability of the likeliest class, (k,)."""
        found: Numbers = self.probabilities.max(1, initial=0.0)
        return found


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Return the answers of several parts as one."""
    unlike = [part.unlike for part in parts if part.unlike is not None]
    features = [part.features for part in parts if part.features is not None]
    return Answers(
        parts[0].classes,
        tuple(item for part in parts for item in part.items),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate(unlike) if len(unlike) == len(parts) else None,
        np.concatenate([part.odd for part in parts]),
        tuple(one for part in parts for one in part.failed),
        sum(part.known for part in parts),
        np.concatenate(features) if features else None,
    )
