"""The command line: arguments to one call; errors to exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import App, Parameter, Token

from tellapart import __version__
from tellapart.errors import SettingError, TellapartError, suggest_name
from tellapart.records import STEPS

if TYPE_CHECKING:
    from tellapart.plan import StudySettings

app = App(
    name="tellapart",
    help="How well can your images be told apart?",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)


def _read_whole(kind: type, tokens: Sequence[Token]) -> int:
    """Read a whole number; 1.5 is refused rather than rounded."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, but got {tokens[0].value!r}") from None


Whole = Annotated[int, Parameter(converter=_read_whole)]
Data = Annotated[str, Parameter(help="A name (digits, cifar10) or a folder of images.")]
DataDir = Annotated[
    Path | None, Parameter(help="Where named data lie; also TELLAPART_DATA.", show_default=False)
]
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
        help="A timm name, local-dir:FOLDER, hf-hub:NAME or embedded; may be repeated.",
        negative="",
        show_default=False,
    ),
]
Seeds = Annotated[
    int | None, Parameter(help="Seeds a size.", show_default=False, converter=_read_whole)
]
Trials = Annotated[
    int | None, Parameter(help="Trials of the search.", show_default=False, converter=_read_whole)
]
Width = Annotated[Whole, Parameter(help="Filters of the convolution.")]
Dense = Annotated[Whole, Parameter(help="Units of the dense layer.")]


@app.command
def study(
    data: Data = "digits",
    *,
    backbone: Backbones = None,
    steps: Annotated[str, Parameter(help="Steps to run, separated by commas.")] = ",".join(STEPS),
    seeds: Seeds = None,
    trials: Trials = None,
    epochs: Epochs = None,
    width: Width = 32,
    dense: Dense = 128,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Run the six steps and write one report. Started again, it goes on where it stopped.

    Example: `tellapart study photos/ --backbone local-dir:weights/mobilenetv2_100`
    """
    names = _split_steps(steps)
    _run(
        ("study", data, data_dir, out, json),
        steps=names,
        backbones=tuple(backbone or ()),
        seeds=seeds,
        trials=trials,
        epochs=epochs,
        model={"name": "simple", "width": width, "dense": dense},
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def inspect(
    data: Data = "digits", *, data_dir: DataDir = None, out: Out = None, json: Json = False
) -> None:
    """Step 1: count classes, look at balance, sizes, modes and samples.

    Example: `tellapart inspect photos/`
    """
    _run(("inspect", data, data_dir, out, json), steps=("inspect",))


@app.command
def train(
    data: Data = "digits",
    *,
    model: Annotated[Literal["simple", "deep"], Parameter(help="The network.")] = "simple",
    width: Width = 32,
    dense: Dense = 128,
    epochs: Epochs = None,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 2: train one network and test it once.

    Example: `tellapart train cifar10 --model deep --epochs 50 --protocol notebook`
    """
    _run(
        ("train", data, data_dir, out, json),
        steps=("baseline",),
        model={"name": model, "width": width, "dense": dense},
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def sweep(
    data: Data = "digits",
    *,
    vary: Annotated[
        Literal["width", "dense"], Parameter(help="The setting that varies: steps 3 and 4.")
    ] = "width",
    sizes: Annotated[
        str | None, Parameter(help="Sizes, separated by commas.", show_default=False)
    ] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Steps 3 and 4: train several sizes with several seeds and say whether size matters.

    Example: `tellapart sweep digits --vary width --sizes 8,16,32 --seeds 3`
    """
    named = _split_sizes(sizes)
    _run(
        ("sweep", data, data_dir, out, json),
        steps=("conv",) if vary == "width" else ("dense",),
        conv_sizes=named if vary == "width" else None,
        dense_sizes=named if vary == "dense" else None,
        seeds=seeds,
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def search(
    data: Data = "digits",
    *,
    trials: Trials = None,
    epochs: Epochs = None,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 5: search for the best network from scratch, and test it once.

    Example: `tellapart search digits --trials 12`
    """
    _run(
        ("search", data, data_dir, out, json),
        steps=("search",),
        trials=trials,
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def transfer(
    data: Data = "digits",
    *,
    backbone: Backbones = None,
    dense: Annotated[Whole, Parameter(help="Hidden units of the head; 0 for none.")] = 2048,
    epochs: Epochs = None,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 6: train a head on the features of frozen pretrained backbones.

    Example: `tellapart transfer photos/ --backbone embedded --backbone mobilenetv2_100`
    """
    _run(
        ("transfer", data, data_dir, out, json),
        steps=("transfer",),
        backbones=tuple(backbone or ()),
        head={"dense": dense},
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def report(folder: Annotated[Path, Parameter(help="A study's folder.")]) -> None:
    """Write report.html again from results.json.

    Example: `tellapart report runs/digits-study-1`
    """
    from tellapart.report.page import write_report

    print(write_report(folder))


@app.command
def fetch(
    data: Annotated[str | None, Parameter(help="A named dataset.", show_default=False)] = None,
    *,
    backbone: Backbones = None,
) -> None:
    """Download data and weights ahead, for machines without a network.

    Example: `tellapart fetch cifar10 --backbone mobilenetv2_100.ra_in1k`
    """
    if data is None and not backbone:
        raise SettingError("fetch needs a dataset's name or --backbone NAME, but got neither")
    if data is not None:
        from tellapart.console import show_download
        from tellapart.data import fetch_data

        with show_download(data) as progress:
            place = fetch_data(data, progress)
        print(f"{data}: {'embedded, nothing to fetch' if place is None else place}")
    for name in backbone or ():
        from tellapart.models.backbone import make_backbone

        found = make_backbone(name)
        print(f"{found.name}: {found.parameters:,} parameters, licence {found.license}")


@app.command
def doctor(*, json: Json = False) -> None:
    """Describe this machine, and what tellapart would use of it.

    Example: `tellapart doctor`
    """
    import json as writer

    from tellapart.device import choose_device, choose_precision, describe_environment
    from tellapart.models.backbone import find_default
    from tellapart.workspace import locate_cache

    device = choose_device()
    found: dict[str, Any] = describe_environment() | {
        "device": str(device),
        "number format": choose_precision(device),
        "default backbone": find_default(),
        "cache": str(locate_cache()),
    }
    if json:
        print(writer.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:<17} {value}")


def _run(where: tuple[str, str, Path | None, Path | None, bool], **values: Any) -> None:
    """Make settings, load the data, run the steps, and say where the report is."""
    from rich.console import Console

    from tellapart.config import ModelSettings, make_settings
    from tellapart.console import ConsoleReporter, show_download
    from tellapart.plan import StudySettings

    verb, data, data_dir, out, json = where
    if "model" in values:
        values["model"] = make_settings(ModelSettings, **values["model"])
    if "head" in values:
        from tellapart.config import HeadSettings

        values["head"] = make_settings(HeadSettings, **values["head"])
    settings: StudySettings = make_settings(StudySettings, **values)

    from tellapart.data import load_images
    from tellapart.device import choose_device
    from tellapart.study import identify_study, run_study
    from tellapart.workspace import name_folder

    choose_device(settings.device)
    with show_download(data) as progress:
        dataset = load_images(data, data_dir, progress=progress)
    identity = identify_study(dataset, settings)
    folder = out or name_folder(f"{dataset.name}-{verb}", identity)
    console = Console(stderr=True, soft_wrap=not sys.stderr.isatty())
    console.print(f"{dataset.origin}; {dataset.size_reason}", style="dim", highlight=False)
    for note in dataset.notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    for file in dataset.excluded[:10]:
        line = f"left out: {file.path}: {file.reason}"
        console.print(line, style="yellow", highlight=False, markup=False)
    if len(dataset.excluded) > 10:
        console.print(f"left out: {len(dataset.excluded)} files in all", style="yellow")
    with ConsoleReporter(console) as reporter:
        record = run_study(dataset, settings, folder, reporter, _say_command())
    if json:
        print(record.model_dump_json(indent=1))
    else:
        print(f"report: {folder / 'report.html'}")


def _split_steps(text: str) -> tuple[str, ...]:
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


def _split_sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(
            f"--sizes must be whole numbers separated by commas, but got {text!r}"
        ) from None


def _say_command() -> str:
    import shlex

    return shlex.join(["tellapart", *sys.argv[1:]])


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        print(f"tellapart: {_say_usage(error)}", file=sys.stderr)
        return 2
    except TellapartError as error:
        print(f"tellapart: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("tellapart: stopped; the same command goes on from here", file=sys.stderr)
        return 3
    except BrokenPipeError:
        return 0
    return 0


def _say_usage(error: cyclopts.CycloptsError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines)} (see tellapart --help)"


if __name__ == "__main__":
    sys.exit(main())
