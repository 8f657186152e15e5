"""What was chosen to fit the time, as it is kept in ``plan.json`` of a study and of its steps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializeAsAny

from tellapart.records.base import LeftOut, Record


class StepPlan(Record):
    """What a step will do, chosen once, when it starts first.

    ``given`` is how many seconds it may take (None: as many as it needs), ``estimate`` how many
    it should; ``cut`` says what the time did not suffice for, and ``text`` all of it in words.
    """

    given: float | None = None
    estimate: float | None = None
    cut: tuple[str, ...] = ()
    text: str = ""


class TrainPlan(StepPlan):
    """One training: its epochs, and the share of the training images that it learns from."""

    epochs: int
    share: float = 1.0


class SweepPlan(StepPlan):
    """Sizes (or numbers of levels), each with ``seeds``, and up to ``most_seeds`` where they
    decide. ``workers`` train at once, with one core each, where there are several; sizes that take
    too much memory for that are trained ``alone``, with all cores.
    """

    sizes: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()
    seeds: int
    most_seeds: int
    epochs: int
    share: float = 1.0
    workers: int = 1
    alone: tuple[int, ...] = ()


class SearchPlan(StepPlan):
    """Up to ``trials`` of ``trial_epochs``, networks of up to ``width`` filters in the first
    layer, and the winner trained again for up to ``epochs``.
    """

    trials: int
    trial_epochs: int
    width: int
    epochs: int
    share: float = 1.0
    workers: int = 1


class LearnPlan(StepPlan):
    """One network on growing ``shares`` of the images, with so many ``seeds``.

    ``part`` is the step whose network it is, or empty where the user named one.
    """

    part: str
    shares: tuple[float, ...]
    seeds: int
    workers: int = 1


class StudyPlan(Record):
    """What all trainings of a study have in common, chosen when it starts first."""

    minutes: float | None
    precision: Literal["float32", "bfloat16"]
    workers: int


class PlanRecord(StudyPlan):
    """What ``--plan`` says: each step's plan, and the steps that the time does not suffice for."""

    steps: dict[str, SerializeAsAny[StepPlan]]
    left_out: dict[str, str] = Field(default_factory=dict)


class TransferPlan(StepPlan):
    """Backbones, by the name that they were asked for, with the sides in pixels that they may have;
    and the share of the training images that heads learn from.
    """

    sizes: dict[str, tuple[int, ...]]
    share: float = 1.0
