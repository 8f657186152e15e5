from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.config import HeadSettings, ReadSettings, TuneSettings
from tellapart.data import load_images
from tellapart.data.dataset import Copy, Dataset
from tellapart.data.split import make_split, read_split
from tellapart.evaluate import PREDICTIONS, Seal
from tellapart.metrics.selective import list_surest
from tellapart.predict.folder import read_args
from tellapart.predict.predictor import Predictor, load_predictor
from tellapart.records import HandoverStep, ModelStep, StudyRecord, TransferStep
from tellapart.report.card import write_card
from tellapart.study.context import Context
from tellapart.study.handover import curve_tested, read_tested, soften
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.study.study import run_study
from tellapart.workspace import read_record
from tests.study.conftest import SETTINGS


def test_the_choice_of_val_is_handed_over(whole: tuple[StudyRecord, Path]) -> None:
    record, folder = whole
    step = record.steps["model"]
    assert isinstance(step, HandoverStep)
    assert record.models is not None
    assert step.chosen == record.models.cheapest
    args = read_args(folder / "model")
    chosen = record.steps[step.chosen]
    assert isinstance(chosen, ModelStep)
    assert (args.name, args.step, args.score) == (chosen.model, step.chosen, chosen.test_score)
    assert args.fingerprint == record.data.fingerprint


@pytest.mark.parametrize("depth", ["none", pytest.param("last", marks=pytest.mark.slow)])
def test_a_backbone_leaves_with_its_head(
    depth: str,
    digits: Dataset,
    small_backbone: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers as in the study, though neither the backbone nor its features are there."""
    weights = tmp_path / "weights"
    shutil.copytree(small_backbone.partition(":")[2], weights)
    transfer = TransferSettings(
        backbones=(f"local-dir:{weights}",),
        head=HeadSettings(kind="logistic"),
        image_size=32,
        tune=TuneSettings(depth=depth, epochs=1),  # type: ignore[arg-type]  # one of them
    )
    settings = StudySettings(
        steps=("transfer",), transfer=transfer, compute=ComputeSettings(device="cpu")
    )
    record = run_study(digits, settings, tmp_path / "study")
    step = record.steps["transfer"]
    assert isinstance(step, TransferStep)
    shutil.rmtree(weights)
    monkeypatch.setenv("TELLAPART_CACHE", str(tmp_path / "empty"))
    predictor = load_predictor(tmp_path / "study")
    rows, logits = read_tested(tmp_path / "study" / step.run.folder / PREDICTIONS, digits)
    said = soften(logits, predictor.args.temperature)
    found, _ = predictor.classify_rows(digits, rows)
    assert np.abs(found - said).max() < 1e-3  # though its features may be in bfloat16
    assert (found.argmax(1) == said.argmax(1)).all()
    assert "under licence" in (tmp_path / "study/model/README.md").read_text()


def test_twins_and_groups_count_once_in_the_curve(digits: Dataset, tmp_path: Path) -> None:
    """Images of test that train has, or another of whose group test has, show nothing new."""
    split = make_split(digits)
    rows = split.test[:60]
    pairs = [(rows[0], split.train[0]), (rows[1], rows[2]), (rows[3], rows[4])]
    copies = tuple(Copy(int(min(pair)), int(max(pair)), 1.0, False) for pair in pairs)
    dataset = replace(digits, copies=copies)
    seal = Seal(dataset, split, tmp_path)
    context = Context(
        settings=SETTINGS, dataset=dataset, seal=seal, folder=tmp_path, reporter=None  # type: ignore[arg-type]  # says nothing
    )  # fmt: skip
    logits = np.zeros((60, 10), np.float32)
    logits[:, 0] = np.arange(60) / 10
    curve = curve_tested(context, rows, logits, 1.0)
    assert curve[-1].count == 57
    right = digits.labels[rows] == 0
    confidence = soften(logits, 1.0).max(1).astype(np.float64)
    own = []
    for one, other in itertools.product((1, 2), (3, 4)):  # either of a group may stand for it
        kept = np.ones(60, bool)
        kept[[0, one, other]] = False
        own.append(list_surest(confidence[kept], right[kept]))
    assert curve in own
    assert curve_tested(context, rows[:40], logits[:40], 1.0) == ()


def test_the_notebooks_model_promises_nothing(digits: Dataset, tmp_path: Path) -> None:
    settings = StudySettings(
        steps=("baseline",), epochs=1, protocol="notebook", compute=ComputeSettings(device="cpu")
    )
    record = run_study(digits, settings, tmp_path)
    step = record.steps["model"]
    assert isinstance(step, HandoverStep)
    assert (step.surest, step.promises) == ((), ())
    assert "no error can be promised" in step.answer
    assert "this is optimistic" in (tmp_path / "model/README.md").read_text()


def test_a_study_that_is_done_hands_nothing_over_again(trained: Path, digits: Dataset) -> None:
    folder = trained / "train-0"
    before = {path: path.stat().st_mtime_ns for path in (folder / "model").rglob("*")}
    settings = StudySettings(
        epochs=3, seed=0, steps=("baseline",), compute=ComputeSettings(device="cpu")
    )
    run_study(digits, settings, folder)
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "model").rglob("*")}


def test_a_card_has_the_figures_and_no_markup_of_names(trained: Path) -> None:
    record = read_record(trained / "train-0" / "results.json", StudyRecord)
    step, args = record.steps["baseline"], read_args(trained / "train-0" / "model")
    assert isinstance(step, ModelStep)
    name = "<b>|cat*\n"
    args = args.model_copy(update={"classes": (name, *args.classes[1:])})
    card = write_card(args, step, record.data, ())
    assert "\\<b\\>\\|cat\\*," in card
    assert f"{100 * step.test_score.value:.1f} %" in card
    assert card.count("\n| ") == 11


@pytest.mark.parametrize("kind", ["files", "arrays"])
def test_deep_images_are_seen_as_in_training(
    kind: str, tmp_path: Path, predictor_of: Callable[[Dataset], Predictor]
) -> None:
    """12 bits in 16: their scale leaves with the model, though images are excluded or held."""
    draw = np.random.default_rng(0)
    values = draw.integers(0, 4096, (40, 16, 16)).astype(np.uint16)
    values[20:] //= 3
    labels = np.repeat([0, 1], 20)
    if kind == "files":
        for row, (image, label) in enumerate(zip(values, labels, strict=True)):
            folder = tmp_path / "photos" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{row:02}.png")
        (tmp_path / "none.csv").write_text("file\n0/00.png\n")
        dataset = load_images(tmp_path / "photos", read=ReadSettings(exclude=tmp_path / "none.csv"))
        given: object = [str(tmp_path / "photos" / name) for name in dataset.files]
    else:
        dataset = load_images((values, labels))
        given = values
    predictor = predictor_of(dataset)
    assert predictor.args.preprocessing.white == 4095
    answers = predictor(given)
    found, split = answers.probabilities, read_split(tmp_path / "study/split.json", dataset)
    known = len(split.merge_train_val()) if kind == "files" else 0
    assert answers.known == known
    said, _ = predictor.classify_rows(dataset, np.arange(len(dataset)))
    assert np.abs(found - said).max() < 1e-5


def test_grey_images_stored_in_colour_are_no_news(
    tmp_path: Path, predictor_of: Callable[[Dataset], Predictor]
) -> None:
    draw = np.random.default_rng(0)
    for row in range(40):
        folder = tmp_path / "photos" / str(row % 2)
        folder.mkdir(parents=True, exist_ok=True)
        grey = draw.integers(0, 256, (16, 16, 1), np.uint8).repeat(3, 2)
        Image.fromarray(grey).save(folder / f"{row}.png")
    predictor = predictor_of(load_images(tmp_path / "photos"))
    assert not predictor.args.colour
    assert not predictor(tmp_path / "photos").odd.any()


@pytest.fixture
def predictor_of(tmp_path: Path) -> Callable[[Dataset], Predictor]:
    """Train a network for an epoch, and return the model that it left."""

    def train(dataset: Dataset) -> Predictor:
        settings = StudySettings(
            steps=("baseline",), epochs=1, compute=ComputeSettings(device="cpu")
        )
        run_study(dataset, settings, tmp_path / "study")
        return load_predictor(tmp_path / "study")

    return train
