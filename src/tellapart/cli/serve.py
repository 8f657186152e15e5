"""The command that serves a model on a page of this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tellapart.cli.commands import app
from tellapart.cli.predict import Promised
from tellapart.console import print_error, print_text
from tellapart.device import DeviceName
from tellapart.errors import SettingError

PACKAGES = ("starlette", "uvicorn", "python_multipart")


@app.command
def serve(
    run: Annotated[
        Path | None,
        Parameter(help="A study or an exported model [default: the newest study in runs/]."),
    ] = None,
    *,
    port: Annotated[int, Parameter(help="Where to listen; 0 takes a free port.")] = 8765,
    host: Annotated[
        str,
        Parameter(
            help="Another than this machine's own lets others ask: it needs a token, and nothing "
            "that passes is encrypted."
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str,
        Parameter(help="What whoever asks must know.", env_var="TELLAPART_TOKEN"),
    ] = "",
    error: Promised = None,
    device: Annotated[DeviceName, Parameter(help="Where to compute.")] = "auto",
) -> None:
    """Show what the model of a study makes of images, on a page of this machine and as JSON.

    Example: `tellapart serve runs/digits-study-1`
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise SettingError(
            f"serve needs {', '.join(missing)}, which is not installed; "
            "pip install 'tellapart[serve]'"
        )
    from tellapart.predict.folder import find_newest
    from tellapart.predict.listen import check_access, serve_model
    from tellapart.predict.predictor import load_predictor

    check_access(host, token)
    if run is None:
        run = find_newest()
        print_error(f"with the model of {run}, the newest study here")
    predictor = load_predictor(run, device)
    serve_model(
        predictor,
        (host, port),
        token,
        error,
        lambda page: print_text(f"{predictor.args.name} of {run}: {page} (Ctrl+C ends)"),
    )
