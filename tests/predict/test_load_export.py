from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tellapart.errors import UserError, WorkspaceError
from tellapart.predict.export import export_model, load_export
from tellapart.predict.predictor import load_predictor
from tests.predict.models import CLASSES, paint
from tests.predict.test_folder import Canary

Alter = Callable[[onnx.ModelProto], None]


def move_weights(model: onnx.ModelProto) -> None:
    """Say that weights lie in another file, as a stranger who wants one read would."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")


def hide_weights(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    inner.initializer.add(name="x", data_location=TensorProto.EXTERNAL)
    node = helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)


def set_metadata(**values: Any) -> Alter:
    def alter(model: onnx.ModelProto) -> None:
        entry = model.metadata_props[0]
        entry.value = json.dumps(json.loads(entry.value) | values)

    return alter


def nest(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "g", [], [])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", [], [], then_branch=graph)], "g", [], [])
    model.graph.node.append(graph.node[0])


STRANGERS: dict[str, tuple[Alter, str]] = {
    "weights in a file": (move_weights, "weights in another file"),
    "weights in a file of a branch": (hide_weights, "weights in another file"),
    "operators": (lambda m: m.opset_import.append(helper.make_opsetid("evil", 1)), "not ONNX's"),
    "a node": (lambda m: m.graph.node.add(op_type="X", domain="com.microsoft"), "not ONNX's"),
    "functions": (lambda m: m.functions.add(name="f"), "it has functions"),
    "a training": (lambda m: m.training_info.add(), "it has a training"),
    "graphs in graphs": (nest, "too deep"),
    "no metadata": (lambda m: m.ClearField("metadata_props"), "of which classes"),
    "two of them": (lambda m: m.metadata_props.append(m.metadata_props[0]), "tellapart twice"),
    "no JSON": (lambda m: setattr(m.metadata_props[0], "value", "{"), "was altered"),
    "not a number": (set_metadata(temperature=float("nan")), "was altered"),
    "an unknown name": (set_metadata(run="rm"), "was altered"),
    "classes": (set_metadata(classes=["a", "b"]), "no probabilities of its classes"),
    "a size": (set_metadata(preprocessing={"image_size": 9, "channels": 1}), "no model that"),
    "two outputs": (lambda m: m.graph.output.append(m.graph.output[0]), "no model that"),
    "another graph": (lambda m: m.graph.node.pop(), "no model that"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_onnx_file_is_refused_in_a_line(
    name: str, exported: Path, tmp_path: Path
) -> None:
    alter, said = STRANGERS[name]
    model = onnx.load_from_string((exported / "m.onnx").read_bytes())
    alter(model)
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    refuse(path, said)


def refuse(path: Path, said: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        load_predictor(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused(exported: Path, tmp_path: Path) -> None:
    canary, bait = tmp_path / "canary", tmp_path / "bait"
    whole = (exported / "m.onnx").read_bytes()
    for content in (b"", b"junk", pickle.dumps(Canary(canary)), whole[:-500], b"\xff" * 99):
        for ending in (".onnx", ".xml", ".pt2"):
            bait.with_suffix(ending).write_bytes(content)
            refuse(bait.with_suffix(ending), "bait")
    bait.with_suffix(".bin").write_bytes(b"")
    shutil.copy(exported / "m.onnx", bait.with_suffix(".xml"))  # OpenVINO would read it
    refuse(bait.with_suffix(".xml"), "no OpenVINO model")
    assert not canary.exists()


def test_openvino_files_are_read_with_care(exported: Path, tmp_path: Path) -> None:
    text, weights = (exported / "m.xml").read_text(), (exported / "m.bin").read_bytes()
    path = tmp_path / "m.xml"

    def write(content: str, others: bytes = weights) -> None:
        path.write_text(content)
        path.with_suffix(".bin").write_bytes(others)

    write(text)
    assert load_export(path)[0].classes == CLASSES
    write(text, weights[:100])
    refuse(path, "no model that tellapart exported")
    write(text.replace("<tellapart ", "<another "))
    refuse(path, "of which classes")
    write(text.replace("drei", "vier"))
    assert load_export(path)[0].classes[2].startswith("vier")
    write(text.replace("drei", "x&quot;,&quot;y"))
    refuse(path, "no probabilities of its classes")
    path.with_suffix(".bin").unlink()
    refuse(path, "m.bin cannot be read")
    path.with_suffix(".bin").symlink_to("/etc/hostname")
    refuse(path, "must be a plain file")


def test_without_onnxruntime_it_is_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime.*tellapart\[predict\]"):
        load_export(exported / "m.onnx")


def test_pt2_is_refused_for_it_may_run_code(small: Path) -> None:
    refuse(export_model(small, "torch").paths[0], "torch.export.load reads files you trust")


def test_an_onnx_file_works_without_what_trains(exported: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", paint(3, 8, 1))
    gone = {"torch", "scipy", "openvino", "timm", "safetensors", "sklearn", "pyarrow", "onnx"}
    code = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {gone}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
import numpy as np
from tellapart.predict.predictor import load_predictor

answers = load_predictor({str(exported / "m.onnx")!r})(np.load({str(tmp_path / "images.npy")!r}))
np.save({str(tmp_path / "answers.npy")!r}, answers.probabilities)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = load_predictor(exported, "cpu")(paint(3, 8, 1)).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), expected, atol=1e-3)
