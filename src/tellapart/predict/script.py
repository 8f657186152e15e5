"""A model as a script: plain PyTorch that a person can read, run, and go on with."""

from __future__ import annotations

import inspect
import runpy
import textwrap
from collections.abc import Iterator
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from tellapart.data.dataset import Pixels
from tellapart.data.tone import PLAIN
from tellapart.errors import SettingError
from tellapart.models import layers
from tellapart.models.layers import Group, Residual, Scale, Standardize, Whiten
from tellapart.models.network import NetworkSettings
from tellapart.models.patches import WideConv
from tellapart.models.tuned import TunedNetwork, TunedSettings
from tellapart.predict.convert import Files, keep_quiet
from tellapart.predict.engines import Seen
from tellapart.predict.folder import WEIGHTS, read_file
from tellapart.predict.network import PixelClassifier, read_settings
from tellapart.records import PredictorArgs, Preprocessed
from tellapart.workspace import write_bytes

NAME = "classify.py"
WIDTH = 96
SCRIPT = Template('''\
"""Classify images with a network that tellapart trained: python classify.py IMAGE..."""

import sys
from pathlib import Path

import numpy as np
${timm}import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import nn
${functional}
CLASSES = $classes
SIZE, TEMPERATURE = $size, $temperature

$layers$network
network.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
network.eval()


def read(path):
    """Read an image and squash it to a square: (SIZE, SIZE, $channels) uint8."""
    with Image.open(path) as image:
        image.draft(None, (2 * SIZE, 2 * SIZE))  # a large JPEG is not decoded in full
        image.load()
        orientation = image.getexif().get(0x0112, 1)
    if image.mode[0] in "IF":  # grey of more than 8 bits: $low is black, $high white
        values = np.asarray(image, np.float32)
        values = np.where(np.isfinite(values), (values - $low) * (255 / ($high - $low)), 0)
        image = Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
${dim}    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, $ground), image)
    image = image.convert("$mode")
    image.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(image)).reshape(SIZE, SIZE, $channels)


@torch.inference_mode()
def compute(pixels):
    """Turn (n, SIZE, SIZE, $channels) uint8 into (n, classes) probabilities."""
    images = pixels.permute(0, 3, 1, 2).float() / 255
$forward
    return torch.softmax(logits / TEMPERATURE, 1)


def classify(paths):
    """Return the probabilities of image files, (n, classes)."""
    return compute(torch.from_numpy(np.stack([read(path) for path in paths])))


if __name__ == "__main__":
    for path in sys.argv[1:] or sys.exit("usage: classify.py IMAGE ..."):
        try:
            best = classify([path])[0].max(0)
            print(f"{path}: {CLASSES[best.indices]} ({best.values:.1%})")
        except OSError as error:
            print(f"{path} cannot be read: {error}", file=sys.stderr)
''')
BACKBONE = Template("""\
backbone = timm.create_model($said)
head = $head
network = nn.ModuleDict({"body": nn.ModuleDict({"network": backbone}), "head": head})
""")
DIM = """\
    elif image.mode == "L":  # {eight} is white
        image = image.point([min(255, int(value * 255 / {eight} + 0.5)) for value in range(256)])
"""
WIDE = '''\
class WideConv(nn.Conv2d):
    """A convolution, max-pooling over 2 x 2 pixels, and ReLU."""

    def forward(self, images):
        return functional.relu(functional.max_pool2d(super().forward(images), 2))
'''


def make_script(folder: Path, args: PredictorArgs, network: PixelClassifier) -> Files:
    """Return a script that builds the network of a model's folder, and its weights.

    Raises:
        SettingError: the network has a layer that cannot be written down.
        WorkspaceError: the weights were altered.
    """
    return {
        WEIGHTS: read_file(folder, WEIGHTS, args),
        NAME: write_script(args, network.network).encode(),
    }


def write_script(args: PredictorArgs, network: nn.Module) -> str:
    """Return the source that builds a network and classifies images with it."""
    seen = args.preprocessing
    settings = read_settings(args.network)
    written = network.head if isinstance(network, TunedNetwork) else network
    built, own = write_layer(written), write_own(written)
    if isinstance(settings, TunedSettings):
        name, options = settings.architecture["name"], settings.architecture["settings"]
        said = f"{name!r}, num_classes=0" + (f", **{options!r}" if options else "")
        built = BACKBONE.substitute(said=said, head=built)
    else:
        built = f"network = {built}"
    forward = write_forward(seen, settings)
    used = any("functional." in part for part in (forward, *own))
    return SCRIPT.substitute(
        timm="import timm\n" if isinstance(settings, TunedSettings) else "",
        classes=_wrap_names(args.classes),
        size=seen.image_size,
        temperature=args.temperature,
        functional="from torch.nn import functional\n" if used else "",
        layers="".join(f"\n{one}\n" for one in own) + "\n" * bool(own),
        network=built,
        channels=seen.channels,
        low=_say_number(seen.black),
        high=_say_number(seen.white),
        dim="" if seen.eight == PLAIN.eight else DIM.format(eight=_say_number(seen.eight)),
        ground=(seen.ground,) * 3,
        mode="L" if seen.channels == 1 else "RGB",
        forward=textwrap.indent(forward, " " * 4),
    )


def write_forward(seen: Preprocessed, settings: NetworkSettings) -> str:
    """Return the lines that turn ``images``, floats in [0, 1], into ``logits``."""
    lines, call = [], "network(%s)"
    if isinstance(settings, TunedSettings):
        side, call = settings.image_size, "head(backbone(%s))"
        if seen.channels == 1:
            lines.append("images = images.expand(-1, 3, -1, -1)")
        if seen.image_size != side:
            size = f"({side}, {side})"
            lines.append(f'images = functional.interpolate(images, {size}, mode="bilinear")')
        for name, values in (("mean", settings.mean), ("std", settings.std)):
            lines.append(f"{name} = torch.tensor({list(values)}).view(3, 1, 1)")
        lines.append("images = (images - mean) / std")
    lines.append(f"logits = {call % 'images'}")
    if seen.mirrored:
        lines.append(f"logits = (logits + {call % 'images.flip(3)'}) / 2")
    return "\n".join(lines)


def write_layer(layer: nn.Module) -> str:
    """Return the expression that makes a layer.

    Raises:
        SettingError: it is of a kind that has none here.

    >>> write_layer(nn.Conv2d(3, 16, 3, padding=1, bias=False))
    'nn.Conv2d(3, 16, 3, padding=1, bias=False)'
    """
    match layer:
        case nn.Sequential():
            inner = "".join(f"{write_layer(one)},\n" for one in layer)
            return f"nn.Sequential(\n{textwrap.indent(inner, ' ' * 4)})"
        case nn.Conv2d():
            kind = "WideConv" if isinstance(layer, WideConv) else "nn.Conv2d"
            said = [str(layer.in_channels), str(layer.out_channels), str(layer.kernel_size[0])]
            said += [f"stride={layer.stride[0]}"] if layer.stride != (1, 1) else []
            said += [f"padding={layer.padding[0]}"] if layer.padding != (0, 0) else []
            said += ["bias=False"] if layer.bias is None else []
            return f"{kind}({', '.join(said)})"
        case nn.Linear():
            bare = ", bias=False" if layer.bias is None else ""
            return f"nn.Linear({layer.in_features}, {layer.out_features}{bare})"
        case nn.BatchNorm2d():
            return f"nn.BatchNorm2d({layer.num_features})"
        case nn.MaxPool2d():
            return f"nn.MaxPool2d({layer.kernel_size})"
        case nn.ReLU() | nn.GELU() | nn.Identity():
            return f"nn.{type(layer).__name__}()"
        case nn.Dropout():
            return f"nn.Dropout({layer.p})"
        case layers.Flatten() | layers.GlobalMean() | layers.Peak():
            return f"{type(layer).__name__}()"
        case Scale():
            return f"Scale({layer.by!r})"
        case Standardize():
            return f"Standardize({len(layer.mean)})"
        case Group():
            first = layer.convs[0]
            assert isinstance(first, nn.Conv2d)
            return f"Group({first.in_channels}, {first.out_channels}, {len(layer.convs)})"
        case Residual():
            before, after = layer.main[0], layer.main[-1]
            assert isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)
            return f"Residual({before.in_channels}, {after.num_features})"
    raise SettingError(
        f"--format script cannot write a layer of the kind {type(layer).__name__}; take another, "
        "such as onnx"
    )


def write_own(network: nn.Module) -> list[str]:
    """Return the source of the layers in a network that torch does not have."""
    kinds = {type(one) for one in network.modules()} - {layers.Dropout, Whiten, WideConv}
    own = [kind for kind in vars(layers).values() if isinstance(kind, type) and kind in kinds]
    found = [inspect.getsource(kind) for kind in own if kind.__module__ == layers.__name__]
    wide = any(isinstance(one, WideConv) for one in network.modules())
    return [*found, WIDE] if wide else found


def _wrap_names(names: tuple[str, ...]) -> str:
    """Return a list of names as source, in lines of readable length."""
    said = f"[{', '.join(map(repr, names))}]"
    if len(said) < WIDTH - len("CLASSES = "):
        return said
    return "[\n" + "".join(f"    {name!r},\n" for name in names) + "]"


def _say_number(value: float) -> str:
    """Return a number as source, a whole one without its point."""
    return str(int(value)) if value.is_integer() else repr(value)


class ScriptEngine:
    """A script that was written in this process, run from a folder of its own; never another."""

    def __init__(self, files: Files) -> None:
        with TemporaryDirectory(prefix="tellapart-") as place, keep_quiet():
            for name, content in files.items():
                write_bytes(Path(place) / name, content)
            self._script = runpy.run_path(str(Path(place) / NAME))

    def compute(self, batches: Iterator[Pixels]) -> Seen:
        """Return the probabilities of all their images, in order."""
        found = [self._script["compute"](torch.from_numpy(one)).numpy() for one in batches]
        return np.concatenate(found), None
