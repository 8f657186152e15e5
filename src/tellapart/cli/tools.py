"""The commands beside the study: compare, evaluate, history, report, fetch, doctor, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tellapart.cli.commands import app
from tellapart.cli.flags import DataFlags, DataPlace, RunFolder
from tellapart.console import print_json, print_text, show_download
from tellapart.data import NAMED, Dataset, fetch_data
from tellapart.data.hub import SCHEME
from tellapart.data.named import list_named
from tellapart.device import DeviceName, choose_device, choose_precision, describe_environment
from tellapart.errors import DataError, SettingError
from tellapart.records import Identity, StatusRecord
from tellapart.workspace import IDENTITY, STATUS, expand_path, locate_cache, read_record

Json = Annotated[bool, Parameter(help="Print the record as JSON.")]
Column = Annotated[str | None, Parameter(help="Of CSV files, where its name is not a usual one.")]


@app.command
def compare(
    *runs: Annotated[
        Path,
        Parameter(help="Folders of studies or of their steps; or CSV files of predictions."),
    ],
    id_column: Column = None,
    true_column: Column = None,
    predicted_column: Column = None,
    seed_column: Column = None,
    group_column: Column = None,
    plot: Annotated[
        Path | None, Parameter(help="Draw the models with their intervals: a .png or .svg.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which of several models is better, by the images that they share.

    A CSV file has a line an image: file (or id), true, predicted; perhaps p(CLASS) of each class,
    seed, and group. Without a column predicted, every column of classes is a model.

    Example: `tellapart compare runs/digits-train-1 runs/digits-train-2`
    """
    from tellapart.data.predictions import Columns
    from tellapart.report.predictions import describe_predictions
    from tellapart.study.compare import compare_models, describe_comparison, find_tied
    from tellapart.study.predictions import compare_predictions

    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise SettingError(f"--plot must end in .png or .svg, but got {plot}")
    paths = [expand_path(run) for run in runs]
    if any(path.suffix.lower() == ".csv" for path in paths):
        columns = Columns(
            id=id_column,
            true=true_column,
            predicted=predicted_column,
            seed=seed_column,
            group=group_column,
        )
        table = compare_predictions(paths, columns)
        print_json(table) if json else print_text(describe_predictions(table))
        models = {one.name: one.scores["accuracy"] for one in table.models}
        tied = [
            one.name
            for one, rank in zip(table.models, table.ranking.candidates, strict=True)
            if rank.possible
        ]
    else:
        found = compare_models(paths)
        print_json(found) if json else print_text(describe_comparison(found))
        models, tied = {one.name: one.score for one in found.runs}, find_tied(found)
    if plot is not None:
        from tellapart.report.canvas import save_figure
        from tellapart.report.plots import plot_models

        save_figure(
            plot_models(models, tied, "accuracy"),
            expand_path(plot).with_suffix(""),
            (plot.suffix[1:],),
        )


@app.command
def evaluate(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="Its images [default: where they lay].")] = None,
    *,
    split: Annotated[
        Literal["val", "test"], Parameter(help="Each look at test is counted in the ledger.")
    ] = "val",
    backbone: Annotated[
        str | None, Parameter(help="Where a transfer's backbone lies now: local-dir:FOLDER.")
    ] = None,
    place: DataPlace = DataFlags(),
    device: Annotated[DeviceName, Parameter(help="Where to compute.")] = "auto",
    json: Json = False,
) -> None:
    """Evaluate finished models again, on val or on test.

    Example: `tellapart evaluate runs/digits-train-1 --split test`
    """
    from tellapart.study.evaluate import describe_evaluation, evaluate_run

    folder = expand_path(run)
    dataset = place.load(data) if data else _load_again(folder, place)
    found = evaluate_run(dataset, folder, split, device, backbone)
    print_json(found) if json else print_text(describe_evaluation(found))


def _load_again(run: Path, place: DataFlags) -> Dataset:
    """Read the data that a study or step was made of, as they were read then."""
    from tellapart.study.compare import find_models

    find_models(run)  # or it says what a run is
    study = run if (run / IDENTITY).is_file() else run.parent
    name = read_record(study / IDENTITY, Identity).data
    status = read_record(study / STATUS, StatusRecord)
    folder, said = status.folder, place.model_dump(exclude_defaults=True)
    again = DataFlags(**(status.read | said))
    if folder and (folder.startswith(SCHEME) or Path(folder).exists()):
        return again.load(folder)
    if not folder and name in NAMED:
        return again.load(name)
    where = f", which lay in {folder}" if folder else ""
    raise DataError(
        f"{run} was made of the folder {name!r}{where}; say where it is now: "
        f"tellapart evaluate {run} FOLDER"
    )


@app.command
def history(
    run: RunFolder,
    *,
    metric: Annotated[
        list[str] | None, Parameter(help="Such as val_accuracy; repeat it [default: all].")
    ] = None,
    json: Json = False,
) -> None:
    """Show the epochs of finished models in numbers.

    Example: `tellapart history runs/digits-train-1 --metric val_accuracy`
    """
    from tellapart.study.history import METRICS, describe_history, read_history

    found = read_history(expand_path(run), metric or METRICS)
    print_json(found) if json else print_text(describe_history(found))


@app.command
def report(folder: Annotated[Path, Parameter(help="A study's folder.")]) -> None:
    """Write report.html again from results.json.

    Example: `tellapart report runs/digits-study-1`
    """
    from tellapart.report.page import write_report

    print_text(str(write_report(folder)))


@app.command
def fetch(
    data: Annotated[str | None, Parameter(help="A named dataset.")] = None,
    *,
    backbone: Annotated[tuple[str, ...], Parameter(help="A backbone's name.")] = (),
    listed: Annotated[
        bool, Parameter(name="--list", negative="", help="Say which data have a name, and stop.")
    ] = False,
) -> None:
    """Download data and weights ahead, for machines without a network.

    Example: `tellapart fetch cifar10 --backbone mobilenetv2_100.ra_in1k`
    """
    if listed:
        print_text(list_named())
        return
    if data is None and not backbone:
        raise SettingError("fetch needs a dataset's name, --backbone NAME or --list, but got none")
    if data is not None:
        with show_download(data) as progress:
            place = fetch_data(data, progress)
        print_text(f"{data}: {'embedded, nothing to fetch' if place is None else place}")
    for name in backbone:
        from tellapart.models.backbone import make_backbone

        found = make_backbone(name)
        said = f"{found.parameters:,} parameters, licence {found.license}"
        print_text(f"{found.name} ({found.source}): {said}")


@app.command
def doctor(*, json: Json = False) -> None:
    """Describe this machine, and what tellapart would use of it.

    Example: `tellapart doctor`
    """
    from tellapart.models.backbone import PACKAGED

    device = choose_device()
    found = describe_environment() | {
        "device": str(device),
        "number format": choose_precision(device),
        "default backbone": PACKAGED,
        "cache": str(locate_cache()),
    }
    lines = [f"{name:<17} {value}" for name, value in found.items()]
    print_json(found) if json else print_text("\n".join(lines))


cache = App(name="cache", help="List, verify and prune the features that are kept on disk.")
app.command(cache)


@cache.command(name="list")
def show(*, json: Json = False) -> None:
    """Show what features are kept, of how many images, and when they were used last.

    Example: `tellapart cache list`
    """
    _print_sets(json)


@cache.command
def verify(*, json: Json = False) -> None:
    """Compare the checksum of every shard; what is damaged is computed again when it is needed.

    Example: `tellapart cache verify`
    """
    _print_sets(json, check=True)


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
    from tellapart.transfer.cache import list_sets, prune_sets

    gone = prune_sets(list_sets(check=True), unused_days, backbone)
    if not json:
        print_text(f"removed {len(gone)} sets, {sum(one.size for one in gone) / 1e6:,.1f} MB")
    _print_sets(json)


def _print_sets(json: bool, check: bool = False) -> None:
    from tellapart.transfer.cache import describe_sets, list_sets

    sets = list_sets(check=check)
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
    print_json(found) if json else print_text(describe_sets(sets))
