from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tellapart.errors import SettingError
from tellapart.models import NETWORKS, Shape
from tellapart.models.backbone import make_backbone
from tellapart.predict.export import export_model
from tellapart.predict.folder import read_args
from tellapart.predict.predictor import load_predictor
from tellapart.predict.script import write_layer, write_script
from tellapart.records import Preprocessed
from tests.predict.models import paint, save_model, tune

DEEP = Preprocessed(image_size=12, channels=1, black=-5, white=4000.5, eight=200, ground=10)
COLOUR = Preprocessed(image_size=12, channels=3, mirrored=True, ground=10)
MODELS: dict[str, tuple[dict[str, Any], Preprocessed]] = {
    "simple": ({"width": 4, "dense": 8}, DEEP),
    "wide": ({"name": "simple", "width": 256, "dense": 0}, COLOUR),
    "speed": ({"width": 4}, COLOUR),
    "stages": ({"width": 4, "dense": 8, "stages": 2, "norm": True, "dropout": 0.2}, COLOUR),
    "resnet": ({"width": 4}, COLOUR),
}
RUN = """
import json, runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tellapart":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
places, images = json.loads(sys.argv[1])
print(json.dumps([runpy.run_path(one)["classify"](images).tolist() for one in places]))
"""


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Image files of many kinds, larger than what networks see."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colour = Image.fromarray(paint(1, 61, 3)[0])
    turned = colour.getexif()
    turned[0x0112] = 6
    colour.crop((0, 0, 61, 40)).save(folder / "turned.jpg", exif=turned)
    colour.save(folder / "colour.png")
    clear = colour.copy()
    clear.putalpha(Image.fromarray(paint(1, 61, 1, seed=1)[0, :, :, 0]))
    clear.save(folder / "clear.png")
    colour.quantize(16).save(folder / "palette.gif")
    colour.convert("CMYK").save(folder / "print.tif")
    grey = paint(1, 61, 1, seed=2)[0, :, :, 0]
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 20).save(folder / "deep.png")
    Image.fromarray(np.where(grey > 250, np.nan, grey * 15).astype(np.float32)).save(
        folder / "fractions.tif"
    )
    return sorted(map(str, folder.iterdir()))


def test_scripts_give_what_their_models_give_without_tellapart(
    tmp_path: Path, photos: list[str], small_backbone: str
) -> None:
    folders = []
    for name, (sizes, seen) in MODELS.items():
        settings = NETWORKS[sizes.get("name", name)](**{"name": name} | sizes)
        folders.append(save_model(tmp_path / name / "model", settings, seen))
    settings, network = tune(make_backbone(small_backbone))
    grey = Preprocessed(image_size=16, channels=1)
    folders.append(save_model(tmp_path / "tuned" / "model", settings, grey, network))
    scripts = [str(export_model(folder, "script").paths[0]) for folder in folders]
    assert [Path(one).parent.name for one in scripts[:2]] == ["simple-script", "wide-script"]
    command = [sys.executable, "-I", "-c", RUN, json.dumps([scripts, photos])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    for folder, found in zip(folders, json.loads(done.stdout.splitlines()[-1]), strict=True):
        answers = load_predictor(folder, "cpu")(photos)
        assert not answers.failed
        np.testing.assert_allclose(found, answers.probabilities, atol=1e-3, err_msg=str(folder))
        assert (np.argmax(found, 1) == answers.probabilities.argmax(1)).all()


def test_a_script_says_a_line_an_image(handed: Path, tmp_path: Path, photos: list[str]) -> None:
    path = export_model(handed, "script", tmp_path / "out").paths[0]
    assert path == tmp_path / "out" / "classify.py"
    assert {one.name for one in path.parent.iterdir()} == {"classify.py", "weights.safetensors"}
    done = subprocess.run(
        [sys.executable, "-I", str(path), *photos[:2]], capture_output=True, text=True, check=True
    )
    expected = load_predictor(handed, "cpu")(photos[:2])
    assert done.stdout.splitlines() == [
        f"{name}: {label} ({share:.1%})"
        for name, label, share in zip(photos, expected.labels, expected.confidence, strict=False)
    ]
    source = path.read_text()
    assert "nn.Conv2d(1, 32, 3)," in source
    assert len(source.splitlines()) < 80


def test_names_cannot_become_code(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", NETWORKS["simple"](width=4, dense=0), COLOUR)
    names = ('"""\nimport os', "\\'] + [exit()] #", "\u2028", "$layers", "x" * 90)
    args = read_args(folder).model_copy(update={"classes": names, "name": '"""\nexit()'})
    network = NETWORKS["simple"](width=4, dense=0).build(Shape(3, 12, len(names)))
    source = write_script(args, network)
    assert "exit()\n" not in source
    line = source[source.index("CLASSES") : source.index("SIZE, ")]
    found: dict[str, Any] = {}
    exec(line, {"__builtins__": {}}, found)
    assert tuple(found["CLASSES"]) == names
    compile(source, "classify.py", "exec")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_written(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name](name=name).build(Shape(3, 64, 10))
    assert write_layer(network).startswith("nn.Sequential(\n    ")


def test_a_layer_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot write a layer of the kind Conv3d"):
        write_layer(nn.Sequential(nn.Conv3d(1, 1, 1)))
