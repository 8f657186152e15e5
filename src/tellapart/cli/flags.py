"""The flags that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from tellapart.config import (
    EQUIVALENCE,
    OPERATIONS,
    PRESETS,
    OptimizerName,
    Schedule,
)
from tellapart.errors import SettingError, suggest_name
from tellapart.models import make_network_settings
from tellapart.records import STEPS


def _read_whole(kind: type, tokens: Sequence[Token]) -> int:
    """Read a whole number; 1.5 is refused rather than rounded."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, but got {tokens[0].value!r}") from None


Whole = Annotated[int, Parameter(converter=_read_whole)]
Data = Annotated[str, Parameter(help="A name (digits, cifar10) or a folder of images.")]
Out = Annotated[
    Path | None,
    Parameter(help="Output folder [default: runs/DATA-COMMAND-N].", show_default=False),
]
Seed = Annotated[Whole, Parameter(help="First seed.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Parameter(help="Where to compute.")]
Json = Annotated[bool, Parameter(help="Print the record as JSON.", negative="")]
ProtocolFlag = Annotated[
    Literal["holdout", "notebook"],
    Parameter(help="holdout: choose on val. notebook: as the reference study, on test."),
]
Epochs = Annotated[
    int | None,
    Parameter(help="Epochs of every training.", show_default=False, converter=_read_whole),
]
Backbones = Annotated[
    list[str] | None,
    Parameter(
        name="--backbone",
        help="A timm name, local-dir:FOLDER, hf-hub:NAME, or auto: the best of those that are here "
        "and free to use; may be repeated [default: efficientnet-lite0, which is installed].",
        negative="",
        show_default=False,
    ),
]
Views = Annotated[
    int,
    Parameter(help="Augmented views of each training image whose features are kept too."),
]
MaxMemory = Annotated[
    float | None,
    Parameter(help="GB that computing features may take, all told [default: what is free]."),
]
Seeds = Annotated[
    str | None,
    Parameter(
        help="Seeds a size; 3+: three, and more where they decide; auto: 2 or 3, and more "
        "[default: auto].",
        show_default=False,
    ),
]
Margin = Annotated[
    float | None,
    Parameter(
        help="Points of accuracy up to which sizes count as equal "
        f"[default: {100 * EQUIVALENCE:g}].",
        show_default=False,
    ),
]
Minutes = Annotated[
    float | None,
    Parameter(
        help="Minutes that the trainings may take; the plan is shortened to fit "
        "[default: 30, or 15 below 10,000 training images].",
        show_default=False,
    ),
]
Vary = Annotated[
    list[str] | None,
    Parameter(
        help="width or dense, whose sizes follow from the data; or SETTING=VALUE,VALUE, up to two "
        "times, of any setting of the network or its training [default: width].",
        negative="",
        show_default=False,
    ),
]
ModelFlag = Annotated[
    Literal["simple", "deep", "speed", "resnet"], Parameter(help="The network that is trained.")
]
PlanFlag = Annotated[
    bool, Parameter(help="Say what would be trained, and do nothing.", negative="")
]
Processes = Annotated[
    str | None,
    Parameter(
        help="Networks trained at once, one core each; auto: as many as cores, where that is "
        "faster [default: auto].",
        show_default=False,
    ),
]
Trials = Annotated[
    int | None, Parameter(help="Trials of the search.", show_default=False, converter=_read_whole)
]


@Parameter(name="*")
@dataclass(frozen=True)
class DataFlags:
    """Where the images lie."""

    data_dir: Annotated[
        Path | None,
        Parameter(help="Where named data lie; also TELLAPART_DATA.", show_default=False),
    ] = None
    follow_links: Annotated[
        bool,
        Parameter(help="Follow links that lead out of a folder of images.", negative=""),
    ] = False


PLACE = DataFlags()


@Parameter(name="*")
@dataclass(frozen=True)
class RecipeFlags:
    """How a network is trained; what is not given is left to its recipe."""

    augment: Annotated[
        str,
        Parameter(
            help=f"Presets ({', '.join(PRESETS)}) and operations ({', '.join(OPERATIONS)}), joined "
            "by +. No preset flips: add +flip where a mirrored image is of the same class."
        ),
    ] = "none"
    batch_size: Annotated[
        int | None,
        Parameter(
            help="Images a step; the rate follows it [default: 128, or 32 for few images].",
            converter=_read_whole,
        ),
    ] = None
    optimizer: Annotated[
        OptimizerName | None,
        Parameter(help="muon learns in fewer epochs [default: adam for simple, muon for others]."),
    ] = None
    lr: Annotated[
        float | None, Parameter(help="Highest learning rate [default: the optimiser's own].")
    ] = None
    schedule: Annotated[
        Schedule | None,
        Parameter(
            help="How the rate goes: onecycle climbs for a fifth of the steps, cosine for a "
            "twentieth, then both fall; linear falls all the way."
        ),
    ] = None
    averaging: Annotated[
        float | None,
        Parameter(help="Share of the steps that the weights are averaged over [default: 0]."),
    ] = None
    patience: Annotated[
        int | None,
        Parameter(
            help="End after so many epochs with nothing better [default: never].",
            converter=_read_whole,
        ),
    ] = None
    class_weights: Annotated[
        Literal["none", "balanced"] | None,
        Parameter(help="balanced: every class has the same say, however few its images."),
    ] = None


RECIPE = RecipeFlags()
Width = Annotated[
    int | None,
    Parameter(help="Filters of the first convolution.", show_default=False, converter=_read_whole),
]
Convs = Annotated[
    int | None,
    Parameter(
        help="Convolutions in each group of speed.", show_default=False, converter=_read_whole
    ),
]
Dense = Annotated[
    int | None,
    Parameter(help="Units of the dense layer.", show_default=False, converter=_read_whole),
]


def split_steps(text: str) -> tuple[str, ...]:
    """Read step names separated by commas."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in STEPS:
            raise SettingError(
                f"--steps must name steps of {', '.join(STEPS)}, but got {name!r}"
                f"{suggest_name(name, STEPS)}"
            )
    if not names:
        raise SettingError(f"--steps must name at least one of {', '.join(STEPS)}")
    return names


def read_count(flag: str, text: str | None) -> int | str | None:
    """Read a number from 1 on, or ``auto``."""
    if text is None or text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{flag} must be a whole number from 1, or auto, but got {text!r}")
    return int(text)


def read_seeds(text: str | None) -> dict[str, Any]:
    """Read ``3``, ``auto``, or ``3+``: as many, and more where they decide.

    >>> read_seeds("3+"), read_seeds("3")
    ({'seeds': 'auto', 'first': 3}, {'seeds': 3})
    """
    if text is not None and text.endswith("+"):
        return {"seeds": "auto", "first": read_count("--seeds", text[:-1])}
    return {"seeds": read_count("--seeds", text)}


def read_margin(points: float | None) -> float | None:
    """Read points of accuracy as a fraction."""
    if points is not None and not 0 <= points < 100:
        raise SettingError(f"--margin must be points of accuracy from 0 to 99, but got {points:g}")
    return None if points is None else points / 100


def choose_varied(vary: Sequence[str], sizes: tuple[int, ...] | None, model: str) -> dict[str, Any]:
    """Return the step of a sweep over width or dense, or the settings that vary instead.

    Raises:
        SettingError: what was named cannot vary, or sizes of something that has none.
    """
    from tellapart.plan.vary import list_levels, read_vary

    steps = {"width": "conv", "dense": "dense"}
    name, _, values = vary[0].partition("=")
    if len(vary) == 1 and name in steps and model == "simple":
        if values and sizes is not None:
            raise SettingError(f"--sizes and --vary {vary[0]} both name sizes; leave one out")
        named = split_sizes(values, "--vary") if values else sizes
        step = steps[name]
        return {"steps": (step,), "sweep": {"sizes": None if named is None else {step: named}}}
    if sizes is not None:
        raise SettingError(
            f"--sizes are those of --vary width or dense alone, but got --vary {' '.join(vary)}; "
            "write --vary SETTING=VALUE,VALUE"
        )
    bare = [text for text in vary if "=" not in text]
    if bare:
        raise SettingError(
            f"--vary {bare[0]} needs values here; write --vary {bare[0]}=VALUE,VALUE"
        )
    found = read_vary(vary, make_network_settings(model))
    list_levels(found)
    return {"steps": (), "sweep": {"vary": found}}


def split_sizes(text: str | None, flag: str = "--sizes") -> tuple[int, ...] | None:
    """Read whole numbers separated by commas."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            f"{flag} must be whole numbers separated by commas, but got {text!r}"
        ) from None
