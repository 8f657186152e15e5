from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tellapart.cli import main
from tellapart.errors import SettingError, TellapartError, UserError, WorkspaceError
from tellapart.models import NETWORKS, NetworkSettings
from tellapart.models.backbone import make_backbone, resize_backbone
from tellapart.predict import convert
from tellapart.predict.check import check_answers, read_pictures
from tellapart.predict.convert import keep_quiet
from tellapart.predict.engines import KEY
from tellapart.predict.export import export_model
from tellapart.predict.folder import REFERENCE, read_args
from tellapart.predict.predictor import load_predictor
from tellapart.records import Preprocessed
from tests.predict.models import CLASSES, GREY, SIMPLE, Depth, paint, save_model, tune

SCRATCH: dict[str, tuple[NetworkSettings, Preprocessed]] = {
    "simple": (SIMPLE, GREY),
    "speed": (
        NETWORKS["speed"](name="speed", width=4, convs=1),
        Preprocessed(image_size=12, channels=3, mirrored=True),
    ),
    "stages": (
        NETWORKS["stages"](name="stages", width=4, dense=8, stages=2, norm=True, dropout=0.2),
        Preprocessed(image_size=8, channels=3),
    ),
}
FORMS = ("onnx", "openvino", "torch")


def compare_export(folder: Path, form: str) -> None:
    """An export, read back, must give what the model gives on images that neither has seen."""
    found = export_model(folder, form)
    seen = read_args(folder).preprocessing
    images = paint(5, seen.image_size, seen.channels, seed=7)
    source = load_predictor(folder, "cpu")
    expected = source(images).probabilities
    assert found.args == source.args
    assert len(set(expected.argmax(1).tolist())) > 1
    if form == "torch":
        extra = {KEY: ""}
        with keep_quiet():
            program = torch.export.load(str(found.paths[0]), extra_files=extra).module()
        got = [program(torch.from_numpy(part)).detach().numpy() for part in (images[:1], images)]
        assert json.loads(extra[KEY])["classes"] == list(CLASSES)
    else:
        loaded = load_predictor(found.paths[0])
        assert loaded.args == source.args
        got = [loaded(part).probabilities for part in (images[:1], images)]
    assert (got[1].argmax(1) == expected.argmax(1)).all()
    np.testing.assert_allclose(got[0], expected[:1], atol=1e-3)
    np.testing.assert_allclose(got[1], expected, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCRATCH)
def test_a_network_from_scratch(name: str, form: str, tmp_path: Path) -> None:
    compare_export(save_model(tmp_path / "model", *SCRATCH[name]), form)


@pytest.mark.parametrize("form", FORMS)
def test_a_small_backbone_and_grey_images(form: str, small_backbone: str, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", *_seen(tune(make_backbone(small_backbone))))
    compare_export(folder, form)


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["none", "last"])
def test_the_packaged_backbone_in_all_formats(depth: Depth, tmp_path: Path) -> None:
    backbone = resize_backbone(make_backbone("efficientnet-lite0"), 32)
    folder = save_model(tmp_path / "model", *_seen(tune(backbone, depth)))
    for form in FORMS:
        compare_export(folder, form)
    assert export_model(folder, "script").pictures == 40
    loss = export_model(folder, int8=True).loss
    assert loss is not None and loss.same > 10


def _seen(tuned: tuple[Any, Any]) -> tuple[Any, ...]:
    return tuned[0], GREY, tuned[1]


def test_the_file_has_its_name_from_the_folder_and_replaces_another(small: Path) -> None:
    (small / "study.onnx").write_text("an older one")
    found = export_model(small)
    assert found.paths == (small / "study.onnx",)  # not "../../made", which model.json says
    assert found.size == found.paths[0].stat().st_size
    assert found.gap < 1e-5


def test_an_export_tells_nothing_of_this_machine(exported: Path) -> None:
    for path in (exported / "m.onnx", exported / "m.xml"):
        assert str(Path(convert.__file__).parent).encode() not in path.read_bytes()


def test_int8_without_pictures_is_refused_and_float_is_checked_on_noise(small: Path) -> None:
    (small / REFERENCE).unlink()
    with pytest.raises(SettingError, match="--int8 needs the pictures"):
        export_model(small, int8=True)
    assert export_model(small, "torch").pictures == 16
    assert len(read_pictures(small, read_args(small), 64)[1]) == 0


def test_pictures_are_taken_from_first_to_last(small: Path) -> None:
    pixels, labels = read_pictures(small, read_args(small), 10)
    assert pixels.shape == (10, 8, 8, 1)
    assert labels.tolist() == [row % 3 for row in range(0, 40, 4)]


def test_another_network_is_refused_with_the_numbers_and_leaves_nothing(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(small.iterdir())

    def make(network: convert.Probabilities, *rest: Any) -> convert.Files:
        network.temperature *= 1.5
        return convert.make_torch(network, *rest)

    monkeypatch.setitem(convert.MAKERS, "torch", make)
    with pytest.raises(TellapartError, match=r"within 0.001, but 0 of 40 pictures") as caught:
        export_model(small, "torch")
    assert caught.value.exit_code == 1
    assert sorted(small.iterdir()) == before


def test_answers_are_checked() -> None:
    one = np.array([[0.6, 0.4], [0.2, 0.8]], np.float32)
    check_answers(one, one + np.float32(5e-4))
    for bad in (one + np.float32(2e-3), one[:, ::-1], one * np.float32("nan")):
        with pytest.raises(TellapartError, match="nothing was written"):
            check_answers(one, bad)


def test_a_network_that_a_format_cannot_hold_is_said(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> convert.Files:
        raise RuntimeError("no such\noperator")

    monkeypatch.setitem(convert.MAKERS, "onnx", fail)
    with pytest.raises(SettingError, match=r"cannot hold simple \(RuntimeError: no such operator"):
        export_model(small)


def test_what_is_asked_must_be_possible(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="did you mean 'openvino'"):
        export_model(small, "openvin")
    with pytest.raises(SettingError, match="--int8 goes with --format onnx, but got torch"):
        export_model(small, "torch", int8=True)
    with pytest.raises(SettingError, match=r"--out must end in \.onnx"):
        export_model(small, out=small / "model.safetensors")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"needs onnxscript.*tellapart\[export\]"):
        export_model(small)


def test_a_graph_that_does_not_fit_is_said_before_it_is_kept(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(network: convert.Probabilities, *rest: Any) -> convert.Files:
        files = convert.make_onnx(network, *rest)
        model = onnx.load_from_string(files[".onnx"])
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
        return {".onnx": model.SerializeToString()}

    monkeypatch.setitem(convert.MAKERS, "onnx", make)
    with pytest.raises(SettingError, match="--format onnx cannot hold simple"):
        export_model(small)
    assert not list(small.glob("*.onnx"))


def test_both_files_are_written_or_none(small: Path, tmp_path: Path) -> None:
    (tmp_path / "m.xml").mkdir()
    with pytest.raises(WorkspaceError, match=r"m\.xml could not be written"):
        export_model(small, "openvino", tmp_path / "m.xml")
    assert not (tmp_path / "m.bin").exists()


def test_an_altered_model_is_not_exported(small: Path) -> None:
    with (small / "weights.safetensors").open("ab") as stream:
        stream.write(b"0")
    with pytest.raises(WorkspaceError, match="altered"):
        export_model(small)


def test_the_command_says_where_and_how_near(
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", str(small.parent), "--format", "torch"]) == 0
    out = capsys.readouterr().out
    assert f"{small / 'study.pt2'}: 0." in out
    assert "on 40 images: the model's class on all, probabilities within" in out
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(small.parent)
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--format", "torch", "--json"]) == 0
    captured = capsys.readouterr()
    assert "runs/mine, the newest study here" in captured.err
    assert json.loads(captured.out)["paths"] == ["runs/mine/model/mine.pt2"]
    assert main(["export", str(small), "--format", "onx"]) == 2
    assert "did you mean 'onnx'?" in capsys.readouterr().err
    blocked = tmp_path / "file" / "a.pt2"
    blocked.parent.touch()
    assert main(["export", str(small), "--format", "torch", "--out", str(blocked)]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].count("could not be written") == 1
