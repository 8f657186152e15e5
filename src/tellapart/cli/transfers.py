"""The commands of pretrained backbones: transfer, and the cache of their features."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from tellapart.cli.commands import app
from tellapart.cli.flags import (
    PLACE,
    Backbones,
    Data,
    DataFlags,
    Device,
    Epochs,
    Json,
    MaxMemory,
    Out,
    ProtocolFlag,
    Seed,
    Views,
    Whole,
    split_sizes,
)
from tellapart.cli.work import run_steps
from tellapart.console import print_json, print_text


@app.command
def transfer(
    data: Data,
    *,
    backbone: Backbones = None,
    head: Annotated[
        Literal["both", "logistic", "dense"],
        Parameter(help="logistic: its penalty is chosen on val; dense: one hidden layer."),
    ] = "both",
    dense: Annotated[Whole, Parameter(help="Hidden units of the dense head; 0: none.")] = 2048,
    patience: Annotated[
        Whole, Parameter(help="End the dense head where so many epochs bring nothing; 0: never.")
    ] = 0,
    image_size: Annotated[
        int | None,
        Parameter(help="Side in pixels of what the backbone sees [default: found on val]."),
    ] = None,
    views: Views = 0,
    view_augment: Annotated[
        str, Parameter(help="What a view does: operations joined by +.")
    ] = "flip+shift+rotation+zoom",
    head_sizes: Annotated[
        str | None,
        Parameter(help="Sizes of the dense head to sweep, with a verdict: 128,512,2048."),
    ] = None,
    folds: Annotated[
        Whole | None,
        Parameter(help="Cross-validate a logistic head on each backbone, in so many folds."),
    ] = None,
    finetune: Annotated[
        Literal["none", "last", "all"],
        Parameter(help="Then train the backbone's last third too, or all of it."),
    ] = "none",
    finetune_epochs: Annotated[
        int | None, Parameter(help="Epochs of the fine-tuning [default: --epochs, or 10].")
    ] = None,
    max_memory: MaxMemory = None,
    epochs: Epochs = None,
    protocol: ProtocolFlag = "holdout",
    place: DataFlags = PLACE,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Step 6: train a head on the features of frozen pretrained backbones.

    Example: `tellapart transfer photos/ --backbone efficientnet-lite0 --backbone mobilenetv2_100`
    """
    count = epochs if finetune_epochs is None else finetune_epochs
    run_steps(
        ("transfer", data, place, out, json),
        steps=("transfer",),
        transfer={
            "backbones": tuple(backbone or ()),
            "head": {"dense": dense, "patience": patience},
            "kinds": ("logistic", "dense") if head == "both" else (head,),
            "views": views,
            "image_size": image_size,
            "augment": view_augment,
            "folds": folds,
            "max_memory": max_memory,
            "head_sizes": split_sizes(head_sizes, "--head-sizes") or (),
            "tune": {"depth": finetune} | ({} if count is None else {"epochs": count}),
        },
        epochs=epochs,
        protocol=protocol,
        seed=seed,
        device=device,
    )


cache = App(name="cache", help="List, verify and prune the features that are kept on disk.")
app.command(cache)


@cache.command(name="list")
def show(*, json: Json = False) -> None:
    """Show what features are kept, of how many images, and when they were used last.

    Example: `tellapart cache list`
    """
    from tellapart.transfer.cache import describe_sets, list_sets

    _print(list_sets(), describe_sets, json)


@cache.command
def verify(*, json: Json = False) -> None:
    """Compare the checksum of every shard; what is damaged is computed again when it is needed.

    Example: `tellapart cache verify`
    """
    from tellapart.transfer.cache import describe_sets, list_sets

    _print(list_sets(check=True), describe_sets, json)


@cache.command
def prune(
    *,
    unused_days: Annotated[
        float | None, Parameter(help="Remove what was not used for so many days; 0: everything.")
    ] = None,
    backbone: Annotated[str | None, Parameter(help="Remove what is of this backbone.")] = None,
    json: Json = False,
) -> None:
    """Remove features that this version cannot read, damaged shards, and what is told.

    Example: `tellapart cache prune --unused-days 30`
    """
    from tellapart.transfer.cache import describe_sets, list_sets, prune_sets

    gone = prune_sets(list_sets(check=True), unused_days, backbone)
    if not json:
        print_text(f"removed {len(gone)} sets, {sum(one.size for one in gone) / 1e6:,.1f} MB")
    _print(list_sets(), describe_sets, json)


def _print(sets: Any, describe: Any, json: bool) -> None:
    if not json:
        print_text(describe(sets))
        return
    found = [
        {
            "folder": str(one.folder),
            **one.key,
            "images": one.images,
            "bytes": one.size,
            "used": one.used,
            "damaged": [path.name for path in one.damaged],
        }
        for one in sets
    ]
    print_json(found)
