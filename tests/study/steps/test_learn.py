"""Would more data help: a network from scratch, and a pretrained backbone beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.data.dataset import Dataset
from tellapart.data.split import read_split
from tellapart.data.subset import take_share
from tellapart.errors import SettingError
from tellapart.models.backbone import make_backbone
from tellapart.records import LearnStep, SearchStep, StudyRecord
from tellapart.study.deadline import NoTime
from tellapart.study.settings import ComputeSettings, StudySettings, SweepSettings
from tellapart.study.steps.learn import check_learn, plan_learn
from tellapart.study.study import run_study
from tellapart.train.loop import Rows
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples
from tellapart.transfer.logistic import fit_best
from tellapart.transfer.resources import Resources
from tests.study.contexts import make_context


def find_step(record: StudyRecord) -> LearnStep:
    step = record.steps["learn"]
    assert isinstance(step, LearnStep)
    return step


def test_it_asks_the_network_that_the_search_found(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    step, search = find_step(record), record.steps["search"]
    assert isinstance(search, SearchStep)
    assert step.model == search.model
    images = [point.images for point in step.points]
    assert images[-1] == sum(record.data.counts["train"].values()) and images == sorted(images)
    assert all(len(point.seeds) == 2 for point in step.points)
    page = (folder / "report.html").read_text().replace("&nbsp;", " ").replace("\u00a0", " ")
    assert step.sentence.split(",")[0] in page
    assert not [look for look in record.ledger if look.step == "learn"]


def test_both_curves_are_of_the_same_shares(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    step = find_step(record)
    assert step.transfer is not None
    assert [p.images for p in step.points] == [p.images for p in step.transfer.points]
    assert len(step.transfer.points) >= 4
    assert step.transfer.model == "small + logistic head"
    page = (folder / "report.html").read_text("utf-8")
    assert step.transfer.sentence.split(",")[0] in page.replace("\u00a0", " ")


def test_a_point_is_a_head_on_that_share_alone(
    whole: tuple[StudyRecord, Path], finished: Path, digits: Dataset, small_backbone: str
) -> None:
    step = find_step(whole[0])
    assert step.transfer is not None
    split = read_split(finished / "split.json", digits)
    own = take_share(digits, split.train, 1 / 4, 0)
    vectors = extract_features(digits, make_backbone(small_backbone), Resources("cpu")).vectors
    fit = fit_best(Examples(vectors, digits.labels), Rows(own, split.val))
    found = next(p for p in step.transfer.points if p.images == len(own))
    assert found.score.value == pytest.approx(fit.score.value)


def test_by_itself_it_asks_the_network_that_was_named(tmp_path: Path, digits: Dataset) -> None:
    settings = StudySettings(
        steps=("learn",),
        epochs=1,
        sweep=SweepSettings(seeds="2"),
        compute=ComputeSettings(device="cpu", processes="1"),
    )
    record = run_study(digits, settings, tmp_path / "s")
    assert find_step(record).model == "simple 32/128" and not record.ledger


def test_seeds_go_first_and_then_it_is_left_out(tmp_path: Path, digits: Dataset) -> None:
    context = make_context(digits, StudySettings(steps=("learn",)), tmp_path)
    wished = plan_learn(context, 1e9)
    assert (wished.seeds, wished.cut) == (3, ())
    assert wished.estimate is not None
    short = plan_learn(context, wished.estimate)
    assert (short.seeds, short.cut) == (2, ("2 seeds of 3",))
    with pytest.raises(NoTime) as refused:
        plan_learn(context, 5.0)
    assert plan_learn(context, refused.value.needed + 1).seeds == 2


def test_a_protocol_without_val_is_refused(tmp_path: Path, digits: Dataset) -> None:
    reference = StudySettings(steps=("learn",), protocol="notebook")
    with pytest.raises(SettingError, match="learn chooses epochs on val"):
        check_learn(make_context(digits, reference, tmp_path))
