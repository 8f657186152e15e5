"""The command that writes a model as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tellapart.cli.commands import app
from tellapart.cli.tools import Json
from tellapart.console import print_error, print_json, print_text
from tellapart.predict.export import ENDINGS, Exported, export_model
from tellapart.predict.folder import find_newest
from tellapart.report.wording import say_percent, say_points
from tellapart.workspace import expand_path


@app.command
def export(
    run: Annotated[
        Path | None, Parameter(help="A study, or its folder model [default: the newest here].")
    ] = None,
    *,
    format: Annotated[str, Parameter(help=f"The format: {', '.join(ENDINGS)}.")] = "onnx",
    int8: Annotated[
        bool, Parameter(negative="", help="Round to 8 bits (onnx), and say the loss.")
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="The file, or a script's folder [default: beside the model].")
    ] = None,
    json: Json = False,
) -> None:
    """Write a study's model as a file that other programs run, from pixels to probabilities.

    Preprocessing and class names are inside. It is kept only if it gives what the model gives.

    Example: `tellapart export runs/digits-study-1 --format onnx`
    """
    if run is None:
        run = find_newest()
        print_error(f"the model of {run}, the newest study here")
    found = export_model(expand_path(run), format, out, int8, print_error)
    print_json(found) if json else print_text(describe_export(found))


def describe_export(found: Exported) -> str:
    """Say where an export is, what it takes and gives, and how near it is to its model."""
    seen = found.args.preprocessing
    names = " and ".join(str(path) for path in found.paths)
    lines = [
        f"{names}: {found.size / 1e6:,.2f} MB",
        f"from pixels (n, {seen.image_size}, {seen.image_size}, {seen.channels}) uint8 to "
        f"probabilities (n, {len(found.args.classes)}) float32; classes and preprocessing inside",
    ]
    if found.loss is None:
        near = f"probabilities within {found.gap:.1g}"
        lines.append(f"on {found.pictures} images: the model's class on all, {near}")
        return "\n".join(lines)
    loss = found.loss
    lines.append(
        f"int8 gives the model's class on {say_percent(loss.same / loss.pictures)} of "
        f"{loss.pictures:,} val images; the accuracy on them differs by "
        f"{say_points(loss.after - loss.before)} ({100 * loss.low:+.1f} to {100 * loss.high:+.1f})"
    )
    return "\n".join(lines)
