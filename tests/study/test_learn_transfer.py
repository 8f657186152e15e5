"""How much data a pretrained backbone needs, beside a network from scratch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import read_split
from tellapart.data.subset import take_share
from tellapart.models.backbone import make_backbone
from tellapart.plan import StudySettings, SweepSettings, TransferSettings
from tellapart.records import StudyRecord
from tellapart.study import run_study
from tellapart.train.loop import Rows
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples
from tellapart.transfer.logistic import fit_best
from tellapart.transfer.resources import Resources

SETTINGS = StudySettings(
    steps=("baseline", "transfer"),
    sweep=SweepSettings(seeds=2),
    epochs=2,
    minutes=20,
    learn=True,
    device="cpu",
)


@pytest.fixture(scope="module")
def study(
    digits: Dataset, tmp_path_factory: pytest.TempPathFactory, small_backbone: str
) -> tuple[StudyRecord, Path]:
    transfer = TransferSettings(backbones=(small_backbone,), kinds=("logistic",))
    settings = SETTINGS.model_copy(update={"transfer": transfer})
    folder = tmp_path_factory.mktemp("learn") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
        return run_study(digits, settings, folder), folder


def test_both_curves_are_of_the_same_shares(study: tuple[StudyRecord, Path]) -> None:
    record, folder = study
    assert record.learning is not None
    assert record.learning.transfer is not None
    scratch, transfer = record.learning.points, record.learning.transfer.points
    assert [point.images for point in scratch] == [point.images for point in transfer]
    assert len(transfer) >= 4
    assert record.learning.transfer.model == "small + logistic head"
    page = (folder / "report.html").read_text("utf-8")
    assert record.learning.transfer.sentence.split(",")[0] in page.replace("\u00a0", " ")
    assert len(record.ledger) == 2  # no look at test for it


def test_a_point_is_a_head_on_that_share_alone(
    study: tuple[StudyRecord, Path],
    digits: Dataset,
    small_backbone: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, folder = study
    monkeypatch.setenv("TELLAPART_CACHE", str(folder.parent / "cache"))
    assert record.learning is not None
    assert record.learning.transfer is not None
    split = read_split(folder / "split.json", digits)
    own = take_share(digits, split.train, 1 / 4, 0)
    vectors = extract_features(digits, make_backbone(small_backbone), Resources("cpu")).vectors
    rows = Rows(own, split.val)
    fit = fit_best(Examples(vectors, digits.labels), rows)
    found = next(p for p in record.learning.transfer.points if p.images == len(own))
    assert found.accuracy.value == pytest.approx(fit.accuracy)
