from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import special
from sklearn import metrics

from tellapart.config import TrainSettings
from tellapart.data import load_images
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.split import Split
from tellapart.errors import DataError, NotFinite, WorkspaceError
from tellapart.evaluate import (
    Look,
    Seal,
    evaluate_model,
    predict_run,
    read_correct,
    score_rows,
    write_predictions,
)
from tellapart.models import SimpleSettings
from tellapart.train.checkpoint import write_args
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

FINAL = Look("baseline", "simple-1", "final model of step baseline")


@pytest.fixture
def seal(digits: Dataset, digits_split: Split, tmp_path: Path) -> Seal:
    return Seal(digits, digits_split, tmp_path)


def test_looks_are_numbered_and_kept(seal: Seal, digits_split: Split, tmp_path: Path) -> None:
    assert seal.read_ledger() == ()
    rows, first = seal.open_test(FINAL)
    assert rows.tolist() == digits_split.test.tolist()
    _, second = seal.open_test(Look("conv", "simple-2", "final model of step conv"))
    assert (first, second) == (1, 2)
    ledger = Seal(seal.dataset, digits_split, tmp_path).read_ledger()
    assert [(entry.look, entry.step, entry.cell) for entry in ledger] == [
        (1, "baseline", "simple-1"),
        (2, "conv", "simple-2"),
    ]
    assert ledger[0].purpose == FINAL.purpose
    assert ledger[0].when.endswith("+00:00")


def test_the_same_look_keeps_its_number(seal: Seal) -> None:
    seal.open_test(FINAL)
    seal.open_test(Look("conv", "simple-2", "x"))
    assert seal.open_test(FINAL)[1] == 1
    assert seal.open_test(Look("baseline", "simple-1", "another purpose"))[1] == 3
    assert len(seal.read_ledger()) == 3


def test_holdout_opens_no_test(seal: Seal, digits_split: Split) -> None:
    rows = seal.open_rows("holdout", "baseline")
    assert rows.train.tolist() == digits_split.train.tolist()
    assert rows.watch.tolist() == digits_split.val.tolist()
    assert rows.chosen_on == "val"
    assert seal.read_ledger() == ()


def test_notebook_chooses_on_test_and_the_ledger_says_so(seal: Seal, digits_split: Split) -> None:
    rows = seal.open_rows("notebook", "conv")
    everything = sorted({*digits_split.train.tolist(), *digits_split.val.tolist()})
    assert rows.train.tolist() == everything
    assert rows.watch.tolist() == digits_split.test.tolist()
    assert rows.chosen_on == "test"
    seal.open_rows("notebook", "conv")
    (entry,) = seal.read_ledger()
    assert (entry.step, entry.purpose) == ("conv", "choose the best epoch (protocol notebook)")


def test_the_ledger_is_written_before_the_model_looks(seal: Seal, tmp_path: Path) -> None:
    def fail(rows: Indices) -> NDArray[np.float32]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate_model(seal, FINAL, fail, tmp_path)
    assert len(seal.read_ledger()) == 1


def test_an_evaluation_is_that_of_scikit_learn(
    seal: Seal, digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    all_logits = np.random.default_rng(0).normal(size=(len(digits), 10)).astype(np.float32)
    all_logits[np.arange(len(digits)), digits.labels] += 2
    test = evaluate_model(seal, FINAL, lambda rows: all_logits[rows], tmp_path)
    truth = digits.labels[digits_split.test]
    guess = all_logits[digits_split.test].argmax(1)
    assert test.scores["accuracy"].value == metrics.accuracy_score(truth, guess)
    assert test.scores["accuracy"].n == len(truth)
    assert np.array(test.confusion).tolist() == metrics.confusion_matrix(truth, guess).tolist()
    recall = metrics.recall_score(truth, guess, average=None)
    assert [score.recall.value for score in test.per_class] == pytest.approx(recall)
    assert (test.look, test.optimistic) == (1, False)
    shares = np.bincount(digits.labels[digits_split.train], minlength=10) / len(digits_split.train)
    floor = np.tile(shares, (len(truth), 1))
    assert test.floor["log_loss"].value == pytest.approx(metrics.log_loss(truth, floor))
    assert test.floor["accuracy"].value == (truth == shares.argmax()).mean()
    assert test.effective is None and test.score == test.scores["accuracy"]

    path = tmp_path / "predictions.csv"
    with open(path, newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert [int(line["row"]) for line in lines] == digits_split.test.tolist()
    assert [line["hash"] for line in lines] == [digits.hashes[row] for row in digits_split.test]
    assert [line["predicted"] for line in lines] == [str(digit) for digit in guess]
    assert all(0.1 <= float(line["probability"]) <= 1 for line in lines)
    assert read_correct({"a": path})[0]["a"].tolist() == (truth == guess).tolist()


def test_copies_among_the_test_images_count_once(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    first, second = np.array_split(digits_split.test[:268], 2)
    hashes, labels = np.array(digits.hashes), digits.labels.copy()
    hashes[second], labels[second] = hashes[first], labels[first]
    twins = replace(digits, hashes=tuple(hashes.tolist()), labels=labels)
    logits = np.random.default_rng(0).random((len(digits), 10)).astype(np.float32)
    logits[np.arange(len(digits)), labels] += 0.8
    logits[second] = logits[first]
    split = replace(digits_split, test=np.sort(digits_split.test[:268]))
    found = evaluate_model(Seal(twins, split, tmp_path), FINAL, lambda rows: logits[rows], tmp_path)
    once = replace(split, test=np.sort(first))
    alone = evaluate_model(Seal(twins, once, tmp_path), FINAL, lambda rows: logits[rows], tmp_path)
    assert found.effective == pytest.approx(134, rel=0.03)
    for name in ("accuracy", "macro_f1", "log_loss"):
        both, one = found.scores[name], alone.scores[name]
        assert both.value == pytest.approx(one.value), name
        assert both.high - both.low == pytest.approx(one.high - one.low, rel=0.15), name


@pytest.mark.parametrize("recipe", [{}, {"augment": "flip", "averaging": 0.5}])
def test_a_trained_network_predicts_from_its_folder(
    recipe: dict[str, Any], seal: Seal, digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """Tested on the rows that the best epoch was chosen on, it has the chosen accuracy."""
    rows = Rows(digits_split.train, digits_split.test, "test")
    own = TrainSettings(epochs=2, **recipe)
    task = Task(SimpleSettings(width=4, dense=16), own, "cpu", precision="float32")
    folder = tmp_path / "baseline" / "simple-1"
    run = train_model(digits, rows, task, folder)
    test = evaluate_model(seal, FINAL, predict_run(digits, folder, "cpu", run), folder)
    assert test.scores["accuracy"] == run.val_accuracy
    assert test.scores["log_loss"].value == pytest.approx(
        run.history[run.best_epoch - 1].val_loss, rel=1e-3
    )


def test_a_model_of_other_classes_is_refused(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    letters = replace(digits, classes=tuple("abcdefghij"))
    model, recipe = SimpleSettings(width=4, dense=16), TrainSettings(epochs=1)
    rows = Rows(digits_split.train[:64], digits_split.val)
    run = train_model(digits, rows, Task(model, recipe, "cpu"), tmp_path)
    write_args(tmp_path, letters, model, recipe)
    with pytest.raises(DataError, match=r"knows the classes a, b, .* have 0, 1, "):
        predict_run(digits, tmp_path, "cpu", run)


def test_predictions_name_files_and_classes_exactly_and_have_all_probabilities(
    tmp_path: Path,
) -> None:
    names = ("+1", "-1", "=cmd()", 'a,"b"', "cat")
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (6, 16, 16, 3), np.uint8)
        for place, image in enumerate(pixels):
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{place}.png")
    photos = load_images(tmp_path / "photos")
    logits = np.random.default_rng(0).normal(0, 20, (len(photos), 5)).astype(np.float32)
    write_predictions(tmp_path / "p.csv", photos, np.arange(len(photos)), logits)
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        lines = list(reader)
    assert reader.fieldnames is not None
    assert reader.fieldnames[:7] == [
        *("file", "row", "hash", "true", "predicted", "correct", "probability")
    ]
    assert tuple(name[2:-1] for name in reader.fieldnames[7:]) == photos.classes
    for line, row, label in zip(lines, logits, photos.labels, strict=True):
        assert line["true"] == photos.classes[label] == line["file"].rpartition("/")[0]
        assert line["predicted"] == photos.classes[row.argmax()]
        assert line["probability"] == line[f"p({line['predicted']})"]
        said = [float(line[f"p({name})"]) for name in photos.classes]
        assert said == pytest.approx(special.softmax(row.astype(float)), rel=1e-3)
    right = logits.argmax(1) == photos.labels
    assert read_correct({"a": tmp_path / "p.csv"})[0]["a"].tolist() == right.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_have_no_accuracy(
    value: float, seal: Seal, tmp_path: Path
) -> None:
    def predict(rows: Indices) -> NDArray[np.float32]:
        logits = np.zeros((len(rows), 10), np.float32)
        logits[-1, 0] = value
        return logits

    with pytest.raises(NotFinite, match="no accuracy"):
        evaluate_model(seal, FINAL, predict, tmp_path)
    with pytest.raises(NotFinite, match="no accuracy"):
        score_rows(seal.dataset, np.arange(5), predict)


@pytest.mark.parametrize("content", ["{}", "[1]", "null", '[{"look": 1}]', "{"])
def test_a_ledger_of_another_shape_is_refused(content: str, seal: Seal, tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"ledger\.json"):
        seal.open_test(FINAL)


def test_predictions_of_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("row,hash,true,predicted,correct,probability\n")
    with pytest.raises(DataError, match="not a file of predictions"):
        read_correct({"a": tmp_path / "p.csv"})


def test_named_data_have_rows_and_no_files(digits: Dataset, tmp_path: Path) -> None:
    logits = np.eye(10, dtype=np.float32)[[0, 1]]
    write_predictions(tmp_path / "p.csv", digits, np.array([3, 4]), logits)
    assert [line.split(",")[:2] for line in (tmp_path / "p.csv").read_text().splitlines()] == [
        ["file", "row"], ["", "3"], ["", "4"]
    ]  # fmt: skip


def test_models_are_compared_on_the_same_images_alone(digits: Dataset, tmp_path: Path) -> None:
    logits = np.eye(10, dtype=np.float32)[[0, 1]]
    paths = {name: tmp_path / f"{name}.csv" for name in "abc"}
    for name, rows in (("a", [3, 4]), ("b", [3, 4]), ("c", [4, 3])):
        write_predictions(paths[name], digits, np.array(rows), logits)
    assert list(read_correct({"a": paths["a"], "b": paths["b"]})[0]) == ["a", "b"]
    with pytest.raises(DataError, match=r"c\.csv holds other ones than .*a\.csv"):
        read_correct(paths)
    paths["b"].write_text("row,hash\n1,2\n")
    with pytest.raises(DataError, match="not a file of predictions"):
        read_correct(paths)


def test_the_score_is_given_without_images_that_train_has(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """Ten test images have a copy in train, and are all right; of the others a fifth is wrong."""
    hashes = list(digits.hashes)
    for train, test in zip(digits_split.train[:10], digits_split.test[:10], strict=True):
        hashes[test] = hashes[train]
    leaky = replace(digits, hashes=tuple(hashes))
    truth = digits.labels[digits_split.test]
    named = np.where(np.arange(len(truth)) % 5 == 4, (truth + 1) % 10, truth)
    named[:10] = truth[:10]
    logits = np.eye(10, dtype=np.float32)[named]
    found = evaluate_model(Seal(leaky, digits_split, tmp_path), FINAL, lambda _: logits, tmp_path)
    assert found.twins == 10 and found.without_twins is not None
    rest = (named == truth)[10:]
    assert found.without_twins.value == pytest.approx(rest.mean())
    assert found.without_twins.n == len(truth) - 10
    clean = evaluate_model(Seal(digits, digits_split, tmp_path), FINAL, lambda _: logits, tmp_path)
    assert (clean.twins, clean.without_twins) == (0, None)
