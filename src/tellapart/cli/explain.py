"""The command that says why an image is called what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tellapart.cli.commands import app
from tellapart.cli.tools import Json
from tellapart.console import print_error, print_json, print_text
from tellapart.device import DeviceName
from tellapart.errors import SettingError
from tellapart.workspace import expand_path, write_bytes

TOP = 5
"""Classes that are named."""


@app.command
def explain(
    *places: Annotated[
        str, Parameter(help="A study [default: the newest study in runs/], then an image.")
    ],
    of: Annotated[
        str | None,
        Parameter(name="--class", help="Where the evidence for it lies [default: the likeliest]."),
    ] = None,
    out: Annotated[Path, Parameter(help="The picture that is written, a .png file.")] = Path(
        "explanation.png"
    ),
    device: Annotated[DeviceName, Parameter(help="Where to compute.")] = "auto",
    json: Json = False,
) -> None:
    """Show what speaks for an image's class, and which training images it resembles.

    Example: `tellapart explain runs/digits-study-1 photo.jpg --out why.png`
    """
    from tellapart.predict.explain import explain_image, say_share
    from tellapart.predict.folder import find_newest
    from tellapart.predict.inputs import list_items
    from tellapart.predict.poster import draw_poster, list_remarks
    from tellapart.predict.predictor import load_predictor

    if len(places) not in (1, 2):
        raise SettingError(
            f"explain needs a study, if it is not the newest, and one image, but got "
            f"{len(places)} names; such as tellapart explain runs/digits-study-1 photo.jpg"
        )
    if out.suffix.lower() != ".png":
        raise SettingError(f"--out must be a .png file, but got {out}")
    run = expand_path(places[0]) if len(places) == 2 else find_newest()
    if len(places) == 1:
        print_error(f"with the model of {run}, the newest study here")
    predictor = load_predictor(run, device)
    items = list_items(places[-1])
    if len(items) != 1:
        raise SettingError(f"explain takes one image, but {places[-1]} has {len(items):,}")
    found = explain_image(predictor, items[0], of)
    path = write_bytes(expand_path(out), draw_poster(found))
    likeliest, remarks = found.list_likeliest(TOP), list_remarks(found)
    if json:
        near = [{"class": one.label, "distance": one.distance} for one in found.neighbours]
        answer = {"image": found.name, "picture": str(path), "evidence_for": found.heated}
        shares = {"probabilities": dict(likeliest), "nearest": near, "remarks": remarks}
        print_json(answer | shares)
        return
    said = ", ".join(f"{name} {say_share(share)}" for name, share in likeliest)
    alike = ", ".join(one.label for one in found.neighbours)
    lines = [f"{found.name}: {said}", *([f"most like images of {alike}"] if alike else [])]
    print_text("\n".join([*lines, *remarks, f"picture: {path}"]))
