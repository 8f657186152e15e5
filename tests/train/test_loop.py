from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.data.split import Split
from tellapart.errors import SettingError
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.scores import compute_score
from tellapart.models import SimpleSettings
from tellapart.models.forward import predict_logits
from tellapart.records import RunRecord
from tellapart.train.checkpoint import load_model
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model
from tellapart.workspace import read_record

from .conftest import MODEL, RECIPE, Trained

COLUMNS = "epoch,seconds,lr,loss,accuracy,val_loss,val_accuracy"


def test_digits_are_learned(trained: Trained, digits: Dataset) -> None:
    counts = np.bincount(digits.labels[trained.rows.watch])
    assert counts.max() / counts.sum() < 0.15
    assert trained.record.val_accuracy.value > 0.7
    losses = [row.loss for row in trained.record.history]
    assert losses == sorted(losses, reverse=True)


def test_the_history_has_the_columns_that_keras_users_look_for(trained: Trained) -> None:
    text = (trained.folder / "history.csv").read_text("utf-8")
    assert text.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row, kept in zip(rows, trained.record.history, strict=True):
        for name, value in kept.model_dump(exclude={"val_score"}).items():
            assert float(row[name]) == pytest.approx(value, rel=1e-5)


def test_the_best_epoch_is_the_first_of_the_highest_val_accuracy(trained: Trained) -> None:
    record = trained.record
    accuracies = [row.val_accuracy for row in record.history]
    assert record.best_epoch == 1 + int(np.argmax(accuracies))
    n = len(trained.rows.watch)
    assert record.val_accuracy == estimate_proportion(round(max(accuracies) * n), n)


def test_what_is_left_behind(trained: Trained) -> None:
    files = {path.relative_to(trained.folder).as_posix() for path in trained.folder.rglob("*.*")}
    assert files == {
        "args.json",
        "choice.npy",
        "history.csv",
        "record.json",
        "weights/best.safetensors",
        "weights/last.safetensors",
    }
    assert read_record(trained.folder / "record.json", RunRecord) == trained.record
    assert trained.watched == list(trained.record.history)
    assert trained.record.cell == trained.folder.name
    assert trained.record.folder == "/".join(trained.folder.parts[-2:])
    recipe = RECIPE.model_dump(exclude={"seed"})
    assert trained.record.settings == {"width": MODEL.width, "dense": MODEL.dense, **recipe}
    assert trained.record.seed == RECIPE.seed
    assert trained.record.seconds > 0


def read_best(folder: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return dict(load_file(folder / "weights" / "best.safetensors"))


def run_short(digits: Dataset, rows: Rows, recipe: TrainSettings, folder: Path) -> RunRecord:
    model = SimpleSettings(width=4, dense=8)
    return train_model(
        digits, rows, Task(model, recipe, "cpu", "best", precision="float32"), folder
    )


@pytest.mark.parametrize("augment", ["none", "flip+shift", "strong+cutmix"])
def test_the_same_seed_gives_the_same_weights_to_the_bit(
    augment: str, digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    rows = Rows(digits_split.train[:400], digits_split.val)
    recipe = TrainSettings(epochs=2, augment=augment, seed=3)
    for name in "ab":
        run_short(digits, rows, recipe, tmp_path / name)
    run_short(digits, rows, recipe.model_copy(update={"seed": 4}), tmp_path / "c")
    first, second, other = (read_best(tmp_path / name) for name in "abc")
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)
    assert not (tmp_path / "a" / "weights" / "last.safetensors").exists()


def test_the_watched_rows_teach_nothing(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    train = digits_split.train[:400]
    recipe = TrainSettings(epochs=1)
    run_short(digits, Rows(train, digits_split.val), recipe, tmp_path / "a")
    run_short(digits, Rows(train, digits_split.val[:9]), recipe, tmp_path / "b")
    first, second = read_best(tmp_path / "a"), read_best(tmp_path / "b")
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_record_says_what_the_epoch_was_chosen_on(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    rows = Rows(digits_split.train[:100], digits_split.val, "test")
    record = run_short(digits, rows, TrainSettings(epochs=1), tmp_path / "a")
    assert record.chosen_on == "test"


def test_label_smoothing_moves_the_training_loss_and_no_other_number(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """The rate is next to nothing, so the network stays as the seed made it."""
    rows = Rows(digits_split.train[:400], digits_split.val)
    recipe = TrainSettings(epochs=1, lr=1e-12)
    plain = run_short(digits, rows, recipe, tmp_path / "a").history[0]
    smooth = run_short(
        digits, rows, recipe.model_copy(update={"label_smoothing": 0.3}), tmp_path / "b"
    ).history[0]
    assert smooth.loss != plain.loss
    assert smooth.val_loss == pytest.approx(plain.val_loss, abs=1e-6)
    assert smooth.val_accuracy == plain.val_accuracy


def test_training_ends_where_nothing_better_comes(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """At a rate of next to nothing no epoch is better than the first."""
    rows = Rows(digits_split.train[:100], digits_split.val)
    recipe = TrainSettings(epochs=9, lr=1e-12, patience=3)
    record = run_short(digits, rows, recipe, tmp_path / "a")
    assert (len(record.history), record.best_epoch) == (4, 1)
    patient = run_short(digits, rows, recipe.model_copy(update={"patience": 0}), tmp_path / "b")
    assert len(patient.history) == 9


def test_what_is_kept_is_the_average_and_it_is_what_val_sees(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    rows = Rows(digits_split.train[:400], digits_split.val)
    recipe = TrainSettings(epochs=2, lr=3e-3, seed=3)
    plain = run_short(digits, rows, recipe, tmp_path / "a")
    averaged = recipe.model_copy(update={"averaging": 0.5})
    record = run_short(digits, rows, averaged, tmp_path / "b")
    assert [row.loss for row in record.history] == [row.loss for row in plain.history]
    assert record.history[0].val_loss != plain.history[0].val_loss
    first, second = read_best(tmp_path / "a"), read_best(tmp_path / "b")
    assert not all(np.array_equal(first[name], second[name]) for name in first)
    network, _ = load_model(tmp_path / "b", record.weights)
    logits = predict_logits(network, digits, rows.watch, "float32")
    accuracy = (logits.argmax(1) == digits.labels[rows.watch]).mean()
    assert accuracy == pytest.approx(record.val_accuracy.value)


def test_class_weights_help_the_rare_class(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """Of one digit a thirtieth is left: what is told of it rises, and the others' loss with it."""
    train, labels = digits_split.train, digits.labels[digits_split.train]
    rare = train[labels == 8]
    rows = Rows(np.sort(np.concatenate([train[labels != 8], rare[:4]])), digits_split.val)
    named = {}
    for weights in ("none", "balanced"):
        recipe = TrainSettings.model_validate({"epochs": 3, "lr": 3e-3, "class_weights": weights})
        run = run_short(digits, rows, recipe, tmp_path / weights)
        network, _ = load_model(tmp_path / weights, run.weights)
        logits = predict_logits(network, digits, rows.watch, "float32")
        named[weights] = int((logits.argmax(1) == 8).sum())
    assert named["balanced"] > named["none"]


def test_the_epoch_is_chosen_by_the_metric_that_was_asked_for(
    digits: Dataset, digits_split: Split, tmp_path: Path
) -> None:
    """Few are left of all digits but one, so that accuracy and balanced accuracy part ways."""
    train, labels = digits_split.train, digits.labels
    val = digits_split.val
    rows = Rows(
        np.concatenate([train[labels[train] == 0], train[labels[train] != 0][:30]]),
        np.concatenate([val[labels[val] == 0], val[labels[val] != 0][:30]]),
    )
    recipe = TrainSettings(epochs=6, lr=3e-3)
    task = Task(SimpleSettings(width=4, dense=8), recipe, "cpu", metric="balanced_accuracy")
    record = train_model(digits, rows, task, tmp_path)
    assert record.metric == "balanced_accuracy"
    scores = [row.val_score for row in record.history]
    assert record.best_epoch == 1 + int(np.argmax(scores))
    assert record.val_score.value == max(scores) != record.val_accuracy.value
    assert record.val_accuracy.value == record.history[record.best_epoch - 1].val_accuracy
    network, _ = load_model(tmp_path, record.weights)
    predicted = predict_logits(network, digits, rows.watch, record.precision).argmax(1)
    assert compute_score("balanced_accuracy", labels[rows.watch], predicted, 10) == max(scores)
    lines = (tmp_path / "history.csv").read_text("utf-8").splitlines()
    assert lines[0] == f"{COLUMNS},val_balanced_accuracy"
    assert [float(line.split(",")[-1]) for line in lines[1:]] == pytest.approx(scores, rel=1e-5)


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="got 'macro_f2'; did you mean 'macro_f1'"):
        Task(SimpleSettings(), TrainSettings(), metric="macro_f2")
