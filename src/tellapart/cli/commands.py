"""The commands: flags to settings."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from tellapart import __version__
from tellapart.cli.flags import (
    PLACE,
    RECIPE,
    Backbones,
    Convs,
    Data,
    DataFlags,
    Dense,
    Device,
    Epochs,
    Json,
    Margin,
    MaxMemory,
    Minutes,
    ModelFlag,
    Out,
    PlanFlag,
    Processes,
    ProtocolFlag,
    RecipeFlags,
    Seed,
    Seeds,
    Trials,
    Vary,
    Views,
    Width,
    choose_varied,
    read_count,
    read_margin,
    read_seeds,
    split_sizes,
    split_steps,
)
from tellapart.cli.work import run_steps
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
    data: Data,
    *,
    backbone: Backbones = None,
    steps: Annotated[str, Parameter(help="Steps to run, separated by commas.")] = ",".join(STEPS),
    seeds: Seeds = None,
    margin: Margin = None,
    processes: Processes = None,
    trials: Trials = None,
    epochs: Epochs = None,
    views: Views = 0,
    max_memory: MaxMemory = None,
    width: Width = None,
    dense: Dense = None,
    minutes: Minutes = None,
    protocol: ProtocolFlag = "holdout",
    plan: PlanFlag = False,
    place: DataFlags = PLACE,
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
        ("study", data, place, out, json),
        plan=plan,
        steps=names,
        transfer={
            "backbones": tuple(backbone or ()),
            "views": views,
            "max_memory": max_memory,
        },
        sweep={
            **read_seeds(seeds),
            "equivalence": read_margin(margin),
            "processes": read_count("--processes", processes),
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
def inspect(data: Data, *, place: DataFlags = PLACE, out: Out = None, json: Json = False) -> None:
    """Step 1: count classes, look at balance, sizes, modes and samples.

    Example: `tellapart inspect photos/`
    """
    run_steps(("inspect", data, place, out, json), steps=("inspect",))


@app.command
def train(
    data: Data,
    *,
    model: Annotated[
        Literal["simple", "deep", "speed", "resnet"],
        Parameter(help="simple and deep: the reference study's. speed: high accuracy, soon."),
    ] = "simple",
    width: Width = None,
    dense: Dense = None,
    convs: Convs = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    recipe: RecipeFlags = RECIPE,
    protocol: ProtocolFlag = "holdout",
    place: DataFlags = PLACE,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 2: train one network and test it once.

    Example: `tellapart train cifar10 --model deep --epochs 50 --protocol notebook`
    """
    run_steps(
        ("train", data, place, out, json),
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
    data: Data,
    *,
    vary: Vary = None,
    sizes: Annotated[
        str | None,
        Parameter(help="Sizes of width or dense, separated by commas.", show_default=False),
    ] = None,
    model: ModelFlag = "simple",
    seeds: Seeds = None,
    margin: Margin = None,
    processes: Processes = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    plan: PlanFlag = False,
    protocol: ProtocolFlag = "holdout",
    place: DataFlags = PLACE,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Vary a setting, several seeds each: steps 3 and 4 say whether size matters.

    Any setting of a network or its training can vary, one or two at a time, on val alone.

    Example: `tellapart sweep digits --vary width --sizes 8,16,32 --seeds 3`
    Example: `tellapart sweep digits --vary dense=32,64 --vary lr=1e-3,3e-3 --epochs 5`
    """
    asked = choose_varied(vary or ["width"], split_sizes(sizes), model)
    asked["sweep"] |= {
        **read_seeds(seeds),
        "equivalence": read_margin(margin),
        "processes": read_count("--processes", processes),
    }
    run_steps(
        ("sweep", data, place, out, json),
        **asked,
        plan=plan,
        model={"name": model},
        epochs=epochs,
        minutes=minutes,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def search(
    data: Data,
    *,
    trials: Trials = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    processes: Processes = None,
    plan: PlanFlag = False,
    protocol: ProtocolFlag = "holdout",
    place: DataFlags = PLACE,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 5: search for the best network from scratch, and test it once.

    Example: `tellapart search digits --trials 12`
    """
    run_steps(
        ("search", data, place, out, json),
        steps=("search",),
        plan=plan,
        sweep={"processes": read_count("--processes", processes)},
        trials=trials,
        epochs=epochs,
        minutes=minutes,
        protocol=protocol,
        seed=seed,
        device=device,
    )


@app.command
def learn(
    data: Data,
    *,
    model: ModelFlag = "simple",
    width: Width = None,
    dense: Dense = None,
    convs: Convs = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    place: DataFlags = PLACE,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Would more data help? Train on growing shares of the images, and look ahead.

    Example: `tellapart learn digits --seeds 2 --epochs 5`
    """
    run_steps(
        ("learn", data, place, out, json),
        steps=(),
        learn=True,
        model={"name": model, "width": width, "dense": dense, "convs": convs},
        sweep=read_seeds(seeds),
        epochs=epochs,
        seed=seed,
        device=device,
    )
