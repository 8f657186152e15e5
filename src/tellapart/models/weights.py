"""timm's networks: built from plain names alone, and their weights read whole or refused."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import logging
import math
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from tellapart.errors import BackboneError
from tellapart.workspace import expand_path

CONFIG, WEIGHTS = "config.json", "model.safetensors"
WHOLE = "put the two files of one network there"
COUNTER = "num_batches_tracked"
"""How many batches a norm has seen. No feature depends on it: files may have it or not."""


def import_timm() -> Any:
    """Import timm without its warnings; tellapart itself says what fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own imports warn of torch's deprecations
        import timm
        from huggingface_hub.utils import logging as hub

    hub.set_verbosity_error()  # type: ignore[no-untyped-call]  # a failure is said once, by us
    logging.getLogger("timm").setLevel(logging.ERROR)
    return timm


def read_network(name: str, fetch: bool = True) -> tuple[nn.Module, dict[str, Any]]:
    """Return timm's network of that name without a classifier, and what timm says of it.

    All of its tensors come from the file, and all of the file's are used, but for a classifier,
    of whatever size, and the counters of norms. ``architecture`` and ``model_args`` build it again.
    Where ``fetch`` is false, only weights of plain timm names in the hub's cache are read, and
    nothing is asked or opened for any other name.

    Raises:
        BackboneError: no such name, its weights cannot be had here, or they do not fit.
    """
    scheme = name.partition(":")[0]
    if ":" in name and not fetch:
        raise BackboneError(f"--backbone {name}: only names of timm's list are read here")
    timm = import_timm()
    # with these two timm is strict with no network; what is missing or left over is checked below
    overlay: dict[str, Any] = {"num_classes": -1, "classifier": ()}
    if scheme == "local-dir":
        _check_config(name)
        name = f"local-dir:{locate_weights(name)}"
    elif scheme != "hf-hub":
        _check_name(timm, name)
        cached = _find_cached(timm, name)
        if cached is not None:
            overlay |= {"source": "", "file": cached, "custom_load": False}
        elif not fetch:
            raise BackboneError(f"--backbone {name}: its weights are not cached")
    try:
        with warnings.catch_warnings(), _watch_loading() as loaded:
            warnings.simplefilter("ignore")
            network: nn.Module = timm.create_model(
                name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay
            )
    except Exception as error:  # the hub's many ways to say that there is no network
        said = (
            f"its weights are not cached and could not be fetched ({_shorten(error)}); on a "
            f"machine with a network run 'tellapart fetch --backbone {name}', or put {CONFIG} and "
            f"{WEIGHTS} into a folder and give --backbone local-dir:FOLDER"
        )
        if scheme == "local-dir":
            said = f"the weights do not fit their {CONFIG} ({_shorten(error)}); {WHOLE}"
        raise BackboneError(f"--backbone {name}: {said}") from error
    cfg: dict[str, Any] = dict(network.pretrained_cfg)  # type: ignore[arg-type]  # a dict on timm's
    args: dict[str, Any] = dict(getattr(network, "_model_args", {}))
    args.pop("num_classes", None)
    cfg["model_args"] = args
    _check_preprocessing(name, cfg)
    if cfg.get("fixed_input_size"):
        args.setdefault("img_size", list(cfg["input_size"][-2:]))
    _check_tensors(name, network, cfg, loaded)
    return network, cfg


def build_network(architecture: dict[str, Any], classes: int = 0) -> nn.Module:
    """Return timm's network without weights, from its ``name`` and the ``settings`` of that.

    Raises:
        BackboneError: no plain name of timm's, or settings that could open a file or the network.
    """
    name: Any = architecture.get("name")
    settings: Any = architecture.get("settings")
    fault = _find_fault(name, settings)
    if fault:
        raise BackboneError(f"a backbone {fault}; use files from a source that you trust")
    try:
        return import_timm().create_model(name, num_classes=classes, **settings)  # type: ignore[no-any-return]  # untyped in timm
    except Exception as error:  # whatever timm's networks raise on settings of another
        raise BackboneError(
            f"a backbone must have the settings of a {name}, but timm cannot build one from "
            f"{settings} ({_shorten(error)}); give back the args.json or config.json that it had"
        ) from error


def locate_weights(name: str) -> Path:
    """Return the folder of a ``local-dir:`` name, whole, so that ``.`` too has a name."""
    return expand_path(name.partition(":")[2]).resolve()


def hash_weights(name: str) -> str:
    """Return a hash of the two files of a ``local-dir:`` name, 16 hexadecimal digits.

    Raises:
        BackboneError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in _find_files(name):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise BackboneError(f"--backbone {name} cannot be read ({error})") from error
    return digest.hexdigest()[:16]


def _check_name(timm: Any, name: str) -> None:
    plain, _, tag = name.partition(".")
    if expand_path(name).is_dir():
        raise BackboneError(f"--backbone {name} is a folder: did you mean local-dir:{name}?")
    if not timm.is_model(plain):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise BackboneError(
            f"--backbone must be a timm name, local-dir:FOLDER or hf-hub:NAME, but got {name!r}"
            + (f"; near it are {', '.join(near)}" if near else "")
        )
    tags = timm.list_pretrained(f"{plain}.*")
    if tag and name not in tags:
        raise BackboneError(
            f"--backbone {name}: timm has no such weights of {plain}, only "
            + (", ".join(tags) or "the network without weights")
        )


def _find_cached(timm: Any, name: str) -> str | None:
    """Return the file of a timm name's weights in the hub's cache; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache

    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id or cfg.hf_hub_filename:
        return None
    found = try_to_load_from_cache(cfg.hf_hub_id, WEIGHTS)
    return found if isinstance(found, str) else None


def _find_files(name: str) -> tuple[Path, Path]:
    config, weights = (locate_weights(name) / needed for needed in (CONFIG, WEIGHTS))
    for path in (config, weights):
        if not path.is_file():
            raise BackboneError(
                f"--backbone {name} needs {CONFIG} and {WEIGHTS} in that folder, but "
                f"{path} does not exist; put timm's files there"
            )
    return config, weights


def _check_config(name: str) -> None:
    path, _ = _find_files(name)
    try:
        read = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackboneError(
            f"--backbone {name}: {path} cannot be read ({error}); put timm's file there"
        ) from error
    config: dict[str, Any] = read if isinstance(read, dict) else {}
    if "architecture" not in config:
        raise BackboneError(
            f"--backbone {name} must be an image network of timm, but its {CONFIG} names no "
            f"architecture (model type: {config.get('model_type', 'unknown')}); take another "
            "backbone"
        )
    fault = _find_fault(config["architecture"], config.get("model_args") or {})
    card = config.get("pretrained_cfg", {})
    if not fault and not isinstance(card, dict):
        fault = f"must have a pretrained_cfg of names and values, but has {card}"
    if fault:
        raise BackboneError(f"--backbone {name}: {CONFIG} {fault}; put timm's file there")


def _find_fault(name: object, settings: object) -> str:
    """Return why a name and settings do not stand for a network alone, or an empty string.

    What timm's own functions take by name says where weights come from, not what is built.
    """
    timm = import_timm()
    if not isinstance(name, str) or "." in name or not timm.is_model(name):
        return f"must name a network of timm, but names {name!r}"
    if not isinstance(settings, dict):
        return f"must have settings of its network by name, but has {settings!r}"
    loading = {"features_only"}
    for function in (timm.create_model, timm.models.build_model_with_cfg):
        loading |= inspect.signature(function).parameters.keys()
    odd = sorted(loading & settings.keys())
    return f"must have settings of its network alone, but has {', '.join(odd)}" if odd else ""


def _check_preprocessing(name: str, cfg: dict[str, Any]) -> None:
    for key, rule, kind, fits in (
        ("input_size", "3 and two sizes in pixels", int, lambda x: x[0] == 3 and min(x) > 0),
        ("mean", "three numbers", (int, float), lambda x: True),
        ("std", "three numbers above 0", (int, float), lambda x: min(x) > 0),
    ):
        value: Any = cfg.get(key)
        numbers = isinstance(value, list | tuple) and len(value) == 3
        numbers = numbers and all(isinstance(x, kind) and math.isfinite(x) for x in value)
        if not numbers or not fits(value):
            raise BackboneError(
                f"--backbone {name}: {key} must be {rule}, but its configuration has {value}; "
                "put timm's file there, or take another backbone"
            )


@contextmanager
def _watch_loading() -> Iterator[list[Any]]:
    """Collect what torch finds missing and left over in weights, last that of the whole network."""
    found: list[Any] = []
    handles: list[Any] = []

    def follow(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        hook = parent.register_load_state_dict_post_hook  # untyped in torch
        handles.append(hook(lambda _, keys: found.append(keys)))  # type: ignore[no-untyped-call]

    handles.append(register_module_module_registration_hook(follow))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _check_tensors(name: str, network: nn.Module, cfg: dict[str, Any], loaded: list[Any]) -> None:
    """Refuse weights that lack a tensor, have others left over, or numbers that are none."""
    missing, left = loaded[-1] if loaded else (list(network.state_dict()), [])
    left = [one for one in left if not one.endswith(COUNTER)]
    if left:  # a classifier is what the whole network has beside its layers
        built = {"name": cfg["architecture"], "settings": cfg["model_args"]}
        whole = build_network(built, classes=2).state_dict().keys()
        left = [one for one in left if one not in whole]
    parts = [
        f"{kind}: {', '.join(some[:3])}" + (f" and {len(some) - 3} more" if len(some) > 3 else "")
        for kind, some in (("missing", missing), ("left over", left))
        if some
    ]
    if parts:
        raise BackboneError(
            f"--backbone {name}: the weights do not fit their {CONFIG} (they are not those of a "
            f"{cfg['architecture']}; {'; '.join(parts)}); {WHOLE}"
        )
    odd = [key for key, tensor in network.state_dict().items() if not tensor.isfinite().all()]
    if odd:
        raise BackboneError(
            f"--backbone {name}: weights must be finite numbers, but those of {odd[0]} are not; "
            "take another copy of them"
        )


def _shorten(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if len(lines) > 1 and "state_dict" in lines[0]:  # torch's: the tensors stand below
        lines = lines[1:]
    return textwrap.shorten(lines[0], 160) if lines else type(error).__name__
