"""The mistakes: the surest first, of the right rows, with the right names, and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tellapart.data.dataset import Dataset
from tellapart.errors import Interrupted
from tellapart.models import Shape, make_model, make_network_settings
from tellapart.predict.network import PixelClassifier, describe_network
from tellapart.predict.predictor import make_predictor
from tellapart.predict.reference import Reference, scale_features, shrink_pictures
from tellapart.records import Estimate, PredictorArgs, Preprocessed
from tellapart.study import mistakes as module
from tellapart.study.handover import Handed
from tellapart.study.mistakes import MATRIX, PAIRS, SUREST, TILE, show_mistakes
from tests.report.studies import make_estimate

TESTED = np.arange(100, 160)


def hand(dataset: Dataset, logits: np.ndarray) -> Handed:
    """Return a model with random weights that said these logits of the rows ``TESTED``."""
    torch.manual_seed(0)
    settings = make_network_settings("stages", width=4, dense=8)
    network = make_model(settings, Shape(1, 8, len(dataset.classes)))
    half: Estimate = make_estimate(0.5, 60)
    args = PredictorArgs(
        version="0", name="stages", study="made", step="baseline", data="digits",
        fingerprint="0" * 12, classes=dataset.classes, temperature=2.0, metric="accuracy",
        preprocessing=Preprocessed(image_size=8, channels=1), score=half, accuracy=half,
        network=describe_network(settings),
    )  # fmt: skip
    known = np.arange(200, 240)
    plain = make_predictor(args, PixelClassifier(network, 2.0, mirrored=False), device="cpu")
    _, features = plain.classify_rows(dataset, known)
    reference = Reference(
        scale_features(features),
        dataset.labels[known],
        shrink_pictures(dataset.source.read(known), 64),
    )
    plain.reference = reference
    return Handed(args, plain, TESTED, logits.astype(np.float32), known)


def call(dataset: Dataset, wrong: dict[int, tuple[int, float]]) -> np.ndarray:
    """Return logits of ``TESTED``: right by 3, but at these rows another class has some."""
    logits = np.zeros((len(TESTED), len(dataset.classes)))
    logits[np.arange(len(TESTED)), dataset.labels[TESTED]] = 3
    for row, (label, logit) in wrong.items():
        logits[row - TESTED[0], label] = logit
    return logits


@pytest.fixture
def named(digits: Dataset) -> Dataset:
    return replace(digits, files=tuple(f"d/{row}.png" for row in range(len(digits))))


def test_the_surest_come_first_with_their_names(named: Dataset, tmp_path: Path) -> None:
    labels = named.labels
    other = {row: (int(labels[row]) + 1) % 10 for row in (101, 120, 130, 131, 159)}
    sure = dict(zip(other, (4.0, 9.0, 5.0, 3.5, 6.0), strict=True))
    wrong = {row: (other[row], sure[row]) for row in other}
    found = show_mistakes(named, hand(named, call(named, wrong)), tmp_path)
    assert (found.count, found.of, found.mapped) == (5, 60, True)
    order = sorted(other, key=lambda row: -sure[row])
    assert [one.file for one in found.surest] == [f"d/{row}.png" for row in order]
    first = found.surest[0]
    assert first.true == str(labels[120]) and first.called == str(other[120])
    weights = np.exp(np.array([9.0, 3.0, *[0.0] * 8]) / 2)  # at temperature 2
    assert first.called_share == pytest.approx(weights[0] / weights.sum(), rel=1e-5)
    assert first.true_share == pytest.approx(weights[1] / weights.sum(), rel=1e-5)
    for one in found.surest:
        assert len(one.nearest) == 3
        for file, label in one.nearest.items():
            row = int(file.removeprefix("d/").removesuffix(".png"))
            assert 200 <= row < 240 and str(labels[row]) == label
    with Image.open(tmp_path / "mistakes.png") as sheet:
        assert sheet.width <= 912 and sheet.mode == "RGBA"


def test_pairs_are_counted_and_lie_where_the_record_says(named: Dataset, tmp_path: Path) -> None:
    labels = named.labels
    threes, fives = (TESTED[labels[TESTED] == label][:4] for label in (3, 5))
    wrong = {int(row): (8, 4.0 + place) for place, row in enumerate(threes)}
    wrong |= {int(fives[0]): (9, 5.0), int(fives[1]): (8, 5.0), int(fives[2]): (9, 6.0)}
    found = show_mistakes(named, hand(named, call(named, wrong)), tmp_path)
    said = [(one.true, one.called, one.count, one.of) for one in found.confused]
    of = [int((labels[TESTED] == label).sum()) for label in (3, 5)]
    assert said == [("3", "8", 4, of[0]), ("5", "9", 2, of[1]), ("5", "8", 1, of[1])]
    assert found.confused[0].files == tuple(f"d/{row}.png" for row in reversed(threes.tolist()))
    with Image.open(tmp_path / "confused.png") as sheet:
        assert sheet.size == (4 * TILE, 3 * TILE)
        tile = np.asarray(sheet.crop((TILE, 2 * TILE, 2 * TILE, 3 * TILE)))
        assert not tile.any(), "beside the last image of a pair nothing is drawn"
        seen = np.asarray(sheet.crop((0, TILE, TILE, 2 * TILE)))[4::8, 4::8, 0]
    np.testing.assert_array_equal(seen, named.source.read(fives[2:3])[0, :, :, 0])


def test_none_are_said_to_be_none(digits: Dataset, tmp_path: Path) -> None:
    found = show_mistakes(digits, hand(digits, call(digits, {})), tmp_path)
    assert found.count == 0 and not found.surest and not found.confused
    assert not list(tmp_path.iterdir())


def test_of_many_classes_the_most_frequent_pairs_are_kept(digits: Dataset, tmp_path: Path) -> None:
    """Names are long, hostile, or in another script: they are cut, and drawn as text."""
    count = MATRIX + 30
    names = tuple(f"<img src=x onerror=alert({n})> 日本 " + "long name " * 40 for n in range(count))
    many = replace(digits, classes=names, labels=np.arange(len(digits)) % count)
    wrong = {int(row): (int(row) * 7 % count, 9.0) for row in TESTED}
    found = show_mistakes(many, hand(many, call(many, wrong)), tmp_path)
    assert len(found.surest) == SUREST and len(found.confused) == PAIRS
    assert found.surest[0].true in names and found.surest[0].file.startswith("row 1")
    with Image.open(tmp_path / "mistakes.png") as sheet:
        assert sheet.width <= 912 and sheet.height < 2200


def test_a_stop_is_heeded(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise Interrupted("stopped")

    monkeypatch.setattr(module, "check_stop", stop)
    wrong = {101: ((int(digits.labels[101]) + 1) % 10, 9.0)}
    with pytest.raises(Interrupted):
        show_mistakes(digits, hand(digits, call(digits, wrong)), tmp_path)
