"""The commands: flags to settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tellapart import __version__
from tellapart.cli.flags import (
    RECIPE,
    Backbones,
    Convs,
    Data,
    DataDir,
    Dense,
    Device,
    Epochs,
    Json,
    Margin,
    Minutes,
    Out,
    Processes,
    ProtocolFlag,
    RecipeFlags,
    Seed,
    Seeds,
    Trials,
    Whole,
    Width,
    read_margin,
    read_seeds,
    split_sizes,
    split_steps,
)
from tellapart.cli.work import run_steps
from tellapart.errors import SettingError
from tellapart.records import STEPS

app = App(
    name="tellapart",
    help="How well can your images be told apart?",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)


@app.command
def study(
    data: Data = "digits",
    *,
    backbone: Backbones = None,
    steps: Annotated[str, Parameter(help="Steps to run, separated by commas.")] = ",".join(STEPS),
    seeds: Seeds = None,
    margin: Margin = None,
    processes: Processes = None,
    trials: Trials = None,
    epochs: Epochs = None,
    width: Width = None,
    dense: Dense = None,
    minutes: Minutes = None,
    protocol: ProtocolFlag = "holdout",
    plan: Annotated[
        bool, Parameter(help="Say what would be trained, and do nothing.", negative="")
    ] = False,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Run the six steps and write one report. Started again, it goes on where it stopped.

    Example: `tellapart study photos/ --backbone local-dir:weights/mobilenetv2_100`
    """
    names = split_steps(steps)
    run_steps(
        ("study", data, data_dir, out, json),
        plan=plan,
        steps=names,
        transfer={"backbones": tuple(backbone or ())},
        sweep={
            "seeds": read_seeds(seeds),
            "equivalence": read_margin(margin),
            "processes": processes,
        },
        trials=trials,
        epochs=epochs,
        model={"name": "simple", "width": width, "dense": dense},
        minutes=minutes,
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
    run_steps(("inspect", data, data_dir, out, json), steps=("inspect",))


@app.command
def train(
    data: Data = "digits",
    *,
    model: Annotated[
        Literal["simple", "deep", "speed"],
        Parameter(help="simple and deep: the reference study's. speed: high accuracy, soon."),
    ] = "simple",
    width: Width = None,
    dense: Dense = None,
    convs: Convs = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    recipe: RecipeFlags = RECIPE,
    protocol: ProtocolFlag = "holdout",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 2: train one network and test it once; under torchrun, by several processes.

    Example: `tellapart train cifar10 --model deep --epochs 50 --protocol notebook`
    """
    run_steps(
        ("train", data, data_dir, out, json),
        steps=("baseline",),
        model={"name": model, "width": width, "dense": dense, "convs": convs},
        epochs=epochs,
        minutes=minutes,
        recipe=vars(recipe),
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
    margin: Margin = None,
    processes: Processes = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
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
    named = split_sizes(sizes)
    step = "conv" if vary == "width" else "dense"
    run_steps(
        ("sweep", data, data_dir, out, json),
        steps=(step,),
        sweep={
            "sizes": None if named is None else {step: named},
            "seeds": read_seeds(seeds),
            "equivalence": read_margin(margin),
            "processes": processes,
        },
        epochs=epochs,
        minutes=minutes,
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
    minutes: Minutes = None,
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
    run_steps(
        ("search", data, data_dir, out, json),
        steps=("search",),
        trials=trials,
        epochs=epochs,
        minutes=minutes,
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
    run_steps(
        ("transfer", data, data_dir, out, json),
        steps=("transfer",),
        transfer={"backbones": tuple(backbone or ()), "head": {"dense": dense}},
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def learn(
    data: Data = "digits",
    *,
    model: Annotated[
        Literal["simple", "deep", "speed"], Parameter(help="The network that is trained.")
    ] = "simple",
    width: Width = None,
    dense: Dense = None,
    convs: Convs = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Would more data help? Train on growing shares of the images, and look ahead.

    Example: `tellapart learn digits --seeds 2 --epochs 5`
    """
    run_steps(
        ("learn", data, data_dir, out, json),
        steps=(),
        learn=True,
        model={"name": model, "width": width, "dense": dense, "convs": convs},
        sweep={"seeds": read_seeds(seeds)},
        epochs=epochs,
        seed=seed,
        device=device,
    )


@app.command
def compare(
    *runs: Annotated[Path, Parameter(help="Folders of studies, or of their steps.")],
    json: Json = False,
) -> None:
    """Say which of several finished models is better, by the test images that they share.

    Example: `tellapart compare runs/digits-train-1 runs/digits-train-2`
    """
    from tellapart.study.compare import compare_models, describe_comparison
    from tellapart.workspace import expand_path

    found = compare_models([expand_path(run) for run in runs])
    print(found.model_dump_json(indent=1) if json else describe_comparison(found))


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
