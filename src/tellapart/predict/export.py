"""A model as a file for other programs: checked on real images before it is kept; and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tellapart.data.dataset import Pixels
from tellapart.errors import (
    SettingError,
    TellapartError,
    UserError,
    WorkspaceError,
    say_missing,
    suggest_name,
)
from tellapart.predict.check import ALIKE, CHECKED, check_answers, read_pictures, split_pixels
from tellapart.predict.engines import KEY, Engine, OnnxEngine, TorchEngine, open_openvino
from tellapart.predict.folder import MODEL, find_folder, parse_args, read_args, read_plain
from tellapart.predict.protobuf import read_entries
from tellapart.records import PredictorArgs
from tellapart.stop import check_stop
from tellapart.workspace import expand_path, write_bytes

if TYPE_CHECKING:
    from tellapart.predict.network import PixelClassifier
    from tellapart.predict.quantize import Loss

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2", "script": ""}
"""How the file of a format ends; a script lies in a folder."""
NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}
MOST = 4_000_000_000
"""Bytes of the largest exported file that is read; ONNX itself ends at half of it."""

Files = dict[str, bytes]
"""What an export writes: by the ending of the name, or by the name in a script's folder."""


@dataclass(frozen=True)
class Exported:
    """What an export left.

    ``pictures`` were classified by it and by the network: the same class on all, and no probability
    further than ``gap``. Where weights are int8 that is not asked: ``loss`` says what it costs.
    """

    paths: tuple[Path, ...]
    size: int
    pictures: int
    gap: float
    args: PredictorArgs
    loss: Loss | None = None


def export_model(
    run: str | Path,
    form: str = "onnx",
    out: Path | None = None,
    int8: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Write a study's model as a file of another format, or as a script; whole or not at all.

    Args:
        run: a study's folder, or that of its model.
        form: ``onnx``, ``openvino``, ``torch`` or ``script``.
        out: the file, or a script's folder; None: beside the model, named as the study.
        int8: whether weights and what they meet are rounded to 8 bits.
        say: is told what goes on.

    Raises:
        SettingError: no such format, or it cannot hold the network.
        UserError: a package that makes the format is not installed.
        WorkspaceError: the model was altered, or the file cannot be written.
        TellapartError: the export gives other answers than the network; nothing is written.
    """
    check_form(form, int8)
    folder = find_folder(run)
    path = choose_path(folder, form, out, int8)
    args = read_args(folder)
    from tellapart.predict.network import load_network

    network = load_network(folder, args)
    if int8:  # what was promised is of the network in float32
        args = args.model_copy(update={"surest": (), "tested": 0})
    pixels, labels = read_pictures(folder, args, None if int8 else CHECKED)
    if int8 and len(labels) < 2:
        raise SettingError("--int8 needs the pictures in reference.safetensors; give it back")
    with explain_refusal(form, args.name):
        say(f"{form}: converting {args.name}")
        files = make_files(form, network, pixels, args, folder)
        if int8:
            from tellapart.predict.quantize import quantize_onnx, split_rows

            check_stop()
            scaled, others = split_rows(len(pixels))
            say(f"int8: choosing scales by {len(scaled):,} pictures")
            files = {".onnx": quantize_onnx(files[".onnx"], pixels[scaled])}
            pixels, labels = pixels[others], labels[others]
        check_stop()
        say(f"{form}: checking it on {len(pixels):,} pictures")
        engines = (TorchEngine(network, "cpu"), open_files(form, path, files))
        source, found = (one.compute(split_pixels(pixels))[0] for one in engines)
    loss = None
    if int8:
        from tellapart.predict.quantize import measure_loss

        loss = measure_loss(source, found, labels)
    else:
        check_answers(source, found)
    gap = float(np.abs(source - found).max())
    paths = write_files(path, files)
    return Exported(paths, sum(map(len, files.values())), len(pixels), gap, args, loss)


def check_form(form: str, int8: bool) -> None:
    """Refuse an unknown format, one that has no int8, and one whose packages are missing."""
    if form not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise SettingError(
            f"--format must be one of {known}, but got {form!r}{suggest_name(form, ENDINGS)}"
        )
    if int8 and form != "onnx":
        raise SettingError(f"--int8 goes with --format onnx, but got {form}")
    if missing := sorted(name for name in NEEDS.get(form, ()) if find_spec(name) is None):
        raise UserError(
            f"--format {form} needs {' and '.join(missing)}, not installed here; "
            "pip install 'tellapart[export]'"
        )


def choose_path(folder: Path, form: str, out: Path | None, int8: bool = False) -> Path:
    """Return where an export goes: where it is told, else beside its model.

    Raises:
        SettingError: the name does not end as files of its format do.
    """
    ending = ENDINGS[form]
    if out is not None:
        if ending and out.suffix != ending:
            raise SettingError(f"--out must end in {ending} for --format {form}, but got {out}")
        return expand_path(out)
    place = folder.absolute()
    name = (place.parent if place.name == MODEL else place).name or MODEL
    return folder / f"{name}{'-int8' if int8 else ''}{ending or '-script'}"


@contextmanager
def explain_refusal(form: str, name: str) -> Iterator[None]:
    """Make whatever exporters raise on a layer that they do not know a `SettingError`."""
    try:
        yield
    except (TellapartError, MemoryError, OSError):
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        others = ", ".join(one for one in ENDINGS if one != form)
        raise SettingError(
            f"--format {form} cannot hold {name} ({said:.150}); try one of {others}"
        ) from error


def make_files(
    form: str, network: PixelClassifier, pixels: Pixels, args: PredictorArgs, folder: Path
) -> Files:
    """Return the files of a format."""
    if form == "script":
        from tellapart.predict.script import make_script

        return make_script(folder, args, network)
    from tellapart.predict.convert import MAKERS, Probabilities

    return MAKERS[form](Probabilities(network), pixels, args.model_dump_json())


def open_files(form: str, path: Path, files: Files) -> Engine:
    """Return what runs the files of an export that was just made here; ``path`` names it."""
    if ENDINGS[form] in READERS:
        return open_export(path, files)[1]
    from tellapart.predict.convert import ProgramEngine
    from tellapart.predict.script import ScriptEngine

    return ProgramEngine(files) if form == "torch" else ScriptEngine(files)


def write_files(path: Path, files: Files) -> tuple[Path, ...]:
    """Write all files of an export, or none; the one that was asked for last.

    Of several the last is taken away first, so that no older one stands beside what is new.
    """
    places = [path.with_suffix(name) if name.startswith(".") else path / name for name in files]
    try:
        if len(places) > 1:
            places[-1].unlink(missing_ok=True)
        for place, content in zip(places, files.values(), strict=True):
            write_bytes(place, content)
    except (OSError, WorkspaceError) as error:
        for place in places if len(places) > 1 else ():
            with suppress(OSError):
                place.unlink()
        if isinstance(error, WorkspaceError):
            raise
        raise WorkspaceError(f"{path} could not be written ({error.strerror})") from error
    return tuple(reversed(places))


def load_export(path: str | Path) -> tuple[PredictorArgs, Engine]:
    """Return what an exported ``.onnx`` or ``.xml`` file says of its model, and what runs it.

    The file may be a stranger's: it is computed with, but no code of it runs, nothing is fetched,
    and no other file is read but an ``.xml``'s own ``.bin``. A ``.pt2`` is refused: it has pickles
    and expressions that ``torch.export.load`` runs, which is thus for files of one's own.

    Raises:
        WorkspaceError: it was not written by ``tellapart export``, was altered, or does not fit
            what it says of itself.
        UserError: the package that runs it is not installed.
    """
    path = expand_path(path)
    path = path.with_suffix(".xml") if path.suffix == ".bin" else path
    if path.suffix not in READERS:
        raise WorkspaceError(
            f"{path} cannot be read safely: PyTorch runs what such a file says; give the folder of "
            "its study, or export it as onnx (in Python, torch.export.load reads files you trust)"
        )
    names = READERS[path.suffix][0]
    files = {name: read_plain(path.with_suffix(name), MOST) for name in names}
    try:
        return open_export(path, files)
    except (TellapartError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise UserError(say_missing(str(error.name))) from error
    except Exception as error:  # whatever onnxruntime and OpenVINO raise on a damaged file
        said = " ".join(str(error).split())
        raise WorkspaceError(
            f"{path} is no model that tellapart exported ({said:.150}); export it again"
        ) from error


def open_export(path: Path, files: Files) -> tuple[PredictorArgs, Engine]:
    """Return what an export's files say, and what runs it; ``path`` names it.

    Raises:
        Exception: anything, if they are not what they should be.
    """
    about, open_engine = READERS[path.suffix][1](files)
    args = parse_args(about, path)
    engine = open_engine()
    _try_blank(args, engine)
    return args, engine


def _read_onnx(files: Files) -> tuple[str, Callable[[], Engine]]:
    found = read_entries(files[".onnx"])
    if KEY not in found:
        raise ValueError("it does not say of which classes it is")
    return found[KEY], lambda: OnnxEngine(files[".onnx"])


def _read_openvino(files: Files) -> tuple[str, Callable[[], Engine]]:
    if not files[".xml"].startswith(b"<?xml"):  # OpenVINO would read other formats too
        raise ValueError("it is no OpenVINO model")
    import openvino

    model = openvino.Core().read_model(files[".xml"], files[".bin"])
    if not model.has_rt_info([KEY]):
        raise ValueError("it does not say of which classes it is")
    return str(model.get_rt_info([KEY]).value), lambda: open_openvino(model)


READERS = {
    ".onnx": ((".onnx",), _read_onnx),
    ".xml": ((".xml", ".bin"), _read_openvino),
}
"""The files of what `load_export` reads, and what reads them, by the ending of the first."""


def _try_blank(args: PredictorArgs, engine: Engine) -> None:
    """Raise a ValueError unless blank images, one and two, get probabilities of the classes."""
    seen = args.preprocessing
    blank = np.zeros((2, seen.image_size, seen.image_size, seen.channels), np.uint8)
    found, _ = engine.compute(iter((blank[:1], blank)))
    fits = found.shape == (3, len(args.classes)) and found.dtype == np.float32
    if not fits or not np.allclose(found.sum(1), 1, atol=ALIKE) or found.min() < 0:
        raise ValueError("it gives no probabilities of its classes")
