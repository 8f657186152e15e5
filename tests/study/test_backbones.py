"""Which backbones are here, at which resolution, and which get all images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.cells.cell import open_rows
from tellapart.data.dataset import Dataset
from tellapart.errors import BackboneError, BudgetError
from tellapart.models.backbone import PACKAGED, Backbone, list_here, resize_backbone
from tellapart.records import TransferPlan
from tellapart.study import backbones as module
from tellapart.study.backbones import (
    check_backbones,
    choose_backbones,
    list_candidates,
    name_backbones,
    plan_transfer,
)
from tellapart.study.context import Context
from tellapart.study.deadline import NoTime
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.transfer.choose import list_resolutions
from tests.study.contexts import Sayings, make_context
from tests.transfer.backbones import make_tiny

FREE = float("inf")


@pytest.fixture
def context(digits: Dataset, tmp_path: Path) -> Callable[..., Context]:
    """Makes the context of a transfer with what is asked of it."""

    def make(place: str = "study", reporter: Sayings | None = None, **asked: object) -> Context:
        transfer = TransferSettings.model_validate(asked)
        settings = StudySettings(
            steps=("transfer",), transfer=transfer, compute=ComputeSettings(device="cpu")
        )
        return make_context(digits, settings, tmp_path / place, reporter)

    return make


def make_named(name: str, fetch: bool = True) -> Backbone:
    """Return a backbone of random weights; one of them is blind."""
    found = make_tiny(ord(name[-1]))
    if name == "blind":
        for weights in found.network.parameters():
            weights.data.zero_()
    return dataclasses.replace(found, name=name, key=f"{name}-key")


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    names = ("one", "blind", "three")
    monkeypatch.setattr(module, "list_here", lambda: names)
    monkeypatch.setattr(module, "make_backbone", make_named)
    return names


def test_of_all_that_are_here_the_best_get_all_images(
    three: tuple[str, ...], context: Callable[..., Context]
) -> None:
    own = context(backbones=("auto",))
    assert name_backbones(own) == three
    chosen, screened = choose_backbones(own, plan_transfer(own, FREE))
    assert {one.name for one in chosen} == {"one", "three"}
    assert {one.name for one in screened} == set(three)
    worth = {one.name: one.val_score.value for one in screened}
    assert worth["blind"] < min(worth["one"], worth["three"])
    assert all(one.val_score.n == len(own.seal.split.val) for one in screened)


def test_what_takes_too_much_memory_is_passed_over_or_refused_where_it_was_named(
    three: tuple[str, ...], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fits_memory", lambda backbone, means: backbone.name != "three")
    reporter = Sayings()
    assert list_candidates(context(reporter=reporter, backbones=("auto",))) == ("one", "blind")
    assert reporter.said == ["three: left out, it takes too much memory"]
    check_backbones(context(backbones=("auto",), max_memory=0.001))
    with pytest.raises(BudgetError, match=r"--max-memory 0.001 \(GB\) is too little"):
        check_backbones(context(backbones=("one",), max_memory=0.001))


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> float:
    """A machine on which the features of an image of the lowest side take 10 ms."""
    monkeypatch.setattr(module, "time_backbone", lambda *asked: 0.01)
    return 0.01


def test_less_time_is_a_lower_resolution_then_fewer_images(
    pace: float,
    three: tuple[str, ...],
    context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    big = resize_backbone(make_named("one"), 96)
    monkeypatch.setattr(module, "make_backbone", lambda name, fetch=True: big)
    own = context(backbones=("one",))
    plans = [plan_transfer(own, seconds) for seconds in (FREE, 1e6, 200.0, 40.0, 20.0)]
    assert [plan.sizes["one"] for plan in plans] == [
        (32, 64, 96), (32, 64, 96), (32, 64), (32,), (32,),
    ]  # fmt: skip
    assert [plan.share for plan in plans] == [1.0, 1.0, 1.0, 1.0, 0.25]
    assert plans[2].cut == ("one at 64 px at most, of 96",)
    assert plans[4].cut == ("one at 32 px at most, of 96", "25 % of the training images")
    with pytest.raises(NoTime) as refused:
        plan_transfer(own, 5.0)
    assert plan_transfer(own, refused.value.needed + 0.01).share == 1 / 16


def test_of_auto_what_takes_too_long_is_left_out(
    three: tuple[str, ...], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "time_backbone", lambda data, one, *rest: 1.0 if one.name == "three" else 1e-4
    )
    own = context(backbones=("auto",))
    plan = plan_transfer(own, 60.0)
    assert tuple(plan.sizes) == ("one", "blind") and plan.cut == ("without three",)
    # a study that goes on keeps to what it chose, whatever is in the cache by now
    chosen, _ = choose_backbones(own, plan)
    again, _ = choose_backbones(own, plan_transfer(own, FREE))
    assert [one.name for one in again] == [one.name for one in chosen] == ["one", "blind"]


def test_a_part_of_the_images_is_enough_for_a_head(
    small_backbone: str, context: Callable[..., Context]
) -> None:
    own = context(backbones=(small_backbone,), image_size=32)
    rows = open_rows(own, "transfer", 0.25, seed=0)
    assert len(rows.train) == pytest.approx(own.images / 4, abs=10)
    assert set(rows.train) < set(own.seal.split.train)
    assert rows.watch.tolist() == own.seal.split.val.tolist()


def test_the_resolution_is_found_where_images_are_smaller(
    three: tuple[str, ...], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    big = resize_backbone(make_named("one"), 96)
    monkeypatch.setattr(module, "make_backbone", lambda name, fetch=True: big)
    own = context(backbones=("one",))
    plan = plan_transfer(own, FREE)
    (backbone,), screened = choose_backbones(own, plan)
    sizes = [one.image_size for one in screened]
    assert sizes == [32, 64, 96][: len(sizes)]
    best = max(screened, key=lambda one: one.val_score.value)
    assert backbone.image_size == best.image_size
    assert choose_backbones(own, plan)[1] == screened  # read, not asked again
    named = context("other", backbones=("one",), image_size=40)
    (backbone,), screened = choose_backbones(named, plan_transfer(named, FREE))
    assert (backbone.image_size, screened) == (40, ())


def test_resolutions_are_no_larger_than_a_backbones_own() -> None:
    backbone = resize_backbone(make_tiny(), 224)
    assert list_resolutions(backbone, 32) == (96, 128, 160, 224)
    assert list_resolutions(backbone, 512) == (224,)
    fixed = dataclasses.replace(backbone, fixed=True)
    assert list_resolutions(fixed, 32) == (224,)
    with pytest.raises(BackboneError, match=r"takes images of 224 px alone.*image-size 96"):
        resize_backbone(fixed, 96)
    with pytest.raises(BackboneError, match="cannot take images of 2 px"):
        resize_backbone(backbone, 2)


def test_backbones_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert list_here() == (PACKAGED,)
    for name, files in (
        ("another", ("config.json", "model.safetensors")),
        ("half", ("config.json",)),
    ):
        folder = tmp_path / "cache" / "weights" / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).touch()
    for name in ("mobilenetv2_100.ra_in1k", "another", "no_network_of_timms"):
        folder = tmp_path / "hub" / f"models--timm--{name}" / "snapshots" / "1a2b"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    own = f"local-dir:{tmp_path / 'cache' / 'weights' / 'another'}"
    assert list_here() == (PACKAGED, own, "mobilenetv2_100.ra_in1k")


def test_none_named_is_the_packaged_one_whatever_is_cached(
    three: tuple[str, ...], context: Callable[..., Context]
) -> None:
    assert name_backbones(context()) == (PACKAGED,)


def test_weights_with_conditions_are_taken_only_where_they_are_named(
    three: tuple[str, ...], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, fetch: bool = True) -> Backbone:
        licence = "mit" if name == "blind" else "cc-by-nc-4.0"
        return dataclasses.replace(make_named(name), license=licence)

    monkeypatch.setattr(module, "make_backbone", make)
    reporter = Sayings()
    own = context("auto", reporter, backbones=("auto", "three"))
    assert list_candidates(own) == ("blind", "three")
    assert reporter.said[0] == (
        "one: left out, its licence (cc-by-nc-4.0) may forbid some uses; name it to take it"
    )
    assert tuple(plan_transfer(context("named", backbones=("one",)), FREE).sizes) == ("one",)


def test_a_backbone_that_is_gone_is_told(
    three: tuple[str, ...], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = context(backbones=("one",))
    plan = TransferPlan(sizes={"one": (16,)})
    choose_backbones(own, plan)
    other = dataclasses.replace(make_tiny(3), name="one", key="another")
    monkeypatch.setattr(module, "make_backbone", lambda name, fetch=True: other)
    with pytest.raises(BackboneError, match=r"began with backbone one at 16 px .*put them back"):
        choose_backbones(own, plan)
