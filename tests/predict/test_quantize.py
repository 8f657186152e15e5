from __future__ import annotations

from pathlib import Path

import numpy as np

from tellapart.predict.export import Exported, export_model
from tellapart.predict.folder import read_args
from tellapart.predict.predictor import load_predictor
from tellapart.predict.quantize import measure_loss, split_rows
from tests.predict.models import paint


def test_int8_is_small_and_its_loss_is_measured(small: Path, exported: Path) -> None:
    found = export_model(small, int8=True)
    assert found.paths[0].name == "study-int8.onnx"
    assert found.loss is not None
    assert found.loss.pictures == found.pictures == 20
    assert found.loss.low <= found.loss.after - found.loss.before <= found.loss.high
    images = paint(30, 8, 1, seed=3)
    before, after = (
        load_predictor(one)(images).probabilities for one in (exported, found.paths[0])
    )
    assert (before.argmax(1) == after.argmax(1)).mean() > 0.8
    assert 0 < np.abs(before - after).max() < 0.2


def test_pictures_of_all_classes_choose_scales() -> None:
    scaled, others = split_rows(1000)
    assert (len(scaled), len(others)) == (250, 750)
    assert scaled[-1] > 990
    assert [one.tolist() for one in split_rows(2)] == [[0], [1]]


def test_the_loss_is_paired() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    before = np.eye(2, dtype=np.float32)[np.zeros(100, int)]
    after = before.copy()
    after[[0, 95]] = after[[0, 95]][:, ::-1]  # one lost, one won
    loss = measure_loss(before, after, truth)
    assert (loss.same, loss.before, loss.after) == (98, 0.9, 0.9)
    assert -0.05 < loss.low < 0 < loss.high < 0.05


def test_int8_is_said_in_a_line(exported: Path) -> None:
    from tellapart.cli.export import describe_export
    from tellapart.predict.quantize import Loss

    loss = Loss(750, 675, 0.872, 0.853, -0.0385, 0.0002)
    said = describe_export(Exported((Path("a.onnx"),), 10, 750, 0.5, read_args(exported), loss))
    assert said.splitlines()[-1] == (
        "int8 gives the model's class on 90.0 % of 750 val images; the accuracy on them "
        "differs by -1.9 points (-3.9 to +0.0)"
    )
