"""Candidates of step 6: which backbones are here, at which resolution, and which get all images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tellapart.data import load_images
from tellapart.data.split import make_split
from tellapart.errors import BackboneError, BudgetError, SettingError
from tellapart.evaluate import Seal
from tellapart.models.backbone import Backbone, list_here, resize_backbone
from tellapart.models.packaged import PACKAGED
from tellapart.plan import StudySettings, TransferSettings
from tellapart.study import candidates, run_study
from tellapart.study.bench import Bench
from tellapart.study.candidates import (
    check_backbones,
    choose_backbones,
    count_screened,
    make_work,
    name_backbones,
    name_part,
)
from tellapart.study.reporter import SilentReporter
from tellapart.transfer.choose import list_resolutions
from tests.transfer.backbones import make_tiny


class Sayings(SilentReporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.units = 0.0

    def advance(self, units: float, text: str) -> None:
        self.units += units

    def skip(self, units: float, text: str) -> None:
        self.units += units

    def say(self, text: str) -> None:
        self.said.append(text)


def make_bench(folder: Path, **asked: object) -> Bench:
    images = load_images("digits")
    transfer = TransferSettings.model_validate(asked)
    settings = StudySettings(steps=("transfer",), transfer=transfer)
    split = make_split(images)
    return Bench(settings, images, split, Seal(images, split, folder), folder, SilentReporter())


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
    monkeypatch.setattr(candidates, "list_here", lambda: names)
    monkeypatch.setattr(candidates, "make_backbone", make_named)
    return names


def test_of_all_that_are_here_the_best_get_all_images(
    three: tuple[str, ...], tmp_path: Path
) -> None:
    bench = make_bench(tmp_path, backbones=("auto",))
    assert name_backbones(bench) == three
    chosen, screened = choose_backbones(make_work(bench), three)
    assert {name for name, _ in chosen} == {"one", "three"}
    assert {one.name for one in screened} == set(three)
    worth = {one.name: one.val_accuracy.value for one in screened}
    assert worth["blind"] < min(worth["one"], worth["three"])
    assert all(one.val_accuracy.n == len(bench.split.val) for one in screened)


@pytest.mark.parametrize("asked", ["auto", "one"])
def test_choosing_has_a_progress_of_its_own(
    asked: str, three: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image that a candidate is asked of is a unit; one that is read later asks none."""
    monkeypatch.setattr(
        candidates, "make_backbone", lambda name, fetch=True: resize_backbone(make_named(name), 64)
    )
    reporter = Sayings()
    bench = dataclasses.replace(make_bench(tmp_path, backbones=(asked,)), reporter=reporter)
    names = three if asked == "auto" else ("one",)
    units = count_screened(make_work(bench), names)
    images = len(bench.split.train) + len(bench.split.val)
    assert units == len(names) * 2 * images  # at 32 and at 64 px
    choose_backbones(make_work(bench), names)
    assert reporter.units == units
    assert count_screened(make_work(bench), names) == 0


def test_what_takes_too_much_memory_is_passed_over_or_refused_where_it_was_named(
    three: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "fits_memory", lambda backbone, means: backbone.name != "three")
    reporter = Sayings()
    bench = dataclasses.replace(make_bench(tmp_path, backbones=("auto",)), reporter=reporter)
    chosen, screened = choose_backbones(make_work(bench), three)
    assert [name for name, _ in chosen] == ["one", "blind"]
    assert {one.name for one in screened} == {"one", "blind"}
    assert reporter.said == ["three: left out, it takes too much memory"]
    check_backbones(make_bench(tmp_path, backbones=("auto",), max_memory=0.001))
    with pytest.raises(BudgetError, match=r"--max-memory 0.001 \(GB\) is too little"):
        check_backbones(make_bench(tmp_path, backbones=("one",), max_memory=0.001))


def test_what_takes_too_long_is_passed_over(three: tuple[str, ...], tmp_path: Path) -> None:
    reporter = Sayings()
    bench = dataclasses.replace(make_bench(tmp_path, backbones=("auto",)), reporter=reporter)
    hurried = bench.settings.model_copy(update={"minutes": 1e-9})
    bench = dataclasses.replace(bench, settings=hurried)
    chosen, screened = choose_backbones(make_work(bench), three)
    assert len(chosen) == 1
    assert {one.name for one in screened} == set(three)
    assert [said.partition(":")[0] for said in reporter.said] == list(three)
    # what is in the cache takes no time, but a study that goes on keeps to its choice
    again, _ = choose_backbones(make_work(bench), three)
    assert [name for name, _ in again] == [name for name, _ in chosen]
    bench = dataclasses.replace(bench, folder=tmp_path / "other")
    chosen, _ = choose_backbones(make_work(bench), three)
    assert {name for name, _ in chosen} == {"one", "three"}
    assert len(reporter.said) == len(three)


def test_the_resolution_is_found_where_images_are_smaller(
    three: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = resize_backbone(make_named("one"), 96)
    monkeypatch.setattr(candidates, "make_backbone", lambda name, fetch=True: big)
    bench = make_bench(tmp_path, backbones=("one",))
    ((_, backbone),), screened = choose_backbones(make_work(bench), ("one",))
    sizes = [one.image_size for one in screened]
    assert sizes == [32, 64, 96][: len(sizes)]
    best = max(screened, key=lambda one: one.val_accuracy.value)
    assert backbone.image_size == best.image_size
    # its features on a part of the images are a part of its features
    kept = bench.clock.read_part("transfer", name_part(backbone))
    assert kept == pytest.approx(best.seconds)
    assert choose_backbones(make_work(bench), ("one",))[1] == screened  # read, not asked again
    named = make_bench(tmp_path / "other", backbones=("one",), image_size=40)
    ((_, backbone),), screened = choose_backbones(make_work(named), ("one",))
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
    three: tuple[str, ...], tmp_path: Path
) -> None:
    assert name_backbones(make_bench(tmp_path)) == (PACKAGED,)


def test_weights_with_conditions_are_taken_only_where_they_are_named(
    three: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, fetch: bool = True) -> Backbone:
        licence = "mit" if name == "blind" else "cc-by-nc-4.0"
        return dataclasses.replace(make_named(name), license=licence)

    monkeypatch.setattr(candidates, "make_backbone", make)
    reporter = Sayings()
    bench = make_bench(tmp_path / "auto", backbones=("auto", "three"))
    bench = dataclasses.replace(bench, reporter=reporter)
    chosen, _ = choose_backbones(make_work(bench), name_backbones(bench))
    assert {name for name, _ in chosen} == {"blind", "three"}
    assert reporter.said[0] == (
        "one: left out, its licence (cc-by-nc-4.0) may forbid some uses; name it to take it"
    )
    named = make_bench(tmp_path / "named", backbones=("one",))
    assert [name for name, _ in choose_backbones(make_work(named), ("one",))[0]] == ["one"]


def test_what_cannot_be_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    images = load_images("digits")
    for asked, error, said in (
        ({"views": 2, "augment": "mixup"}, SettingError, "got mixup"),
        ({"image_size": 9, "backbones": ("nowhere",)}, BackboneError, "nowhere"),
    ):
        transfer = TransferSettings.model_validate({"backbones": (PACKAGED,)} | asked)
        with pytest.raises(error, match=said):
            run_study(images, StudySettings(transfer=transfer), tmp_path / "study")
        assert not (tmp_path / "study").exists()
