from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.data.dataset import Dataset
from tellapart.data.decode import decode_image
from tellapart.errors import DataError, SettingError
from tellapart.evaluate import PREDICTIONS
from tellapart.predict import engines
from tellapart.predict import predictor as module
from tellapart.predict.answers import join_answers
from tellapart.predict.folder import read_args
from tellapart.predict.inputs import list_items
from tellapart.predict.predictor import Predictor, load_predictor
from tellapart.records import HandoverStep, StudyRecord
from tellapart.study.handover import read_tested, soften
from tellapart.workspace import read_record


def test_images_come_back_in_order_with_names_and_probabilities(
    predictor: Predictor, photos: Path, digits: Dataset
) -> None:
    paths = sorted(photos.glob("*/*.png"), reverse=True)
    answers = predictor([str(path) for path in paths])
    assert answers.names == tuple(map(str, paths))
    assert answers.probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert answers.classes == digits.classes
    right = [label == path.parent.name for label, path in zip(answers.labels, paths, strict=True)]
    assert np.mean(right) > 0.6


def test_val_test_and_predict_say_the_same(
    handed: Path, predictor: Predictor, digits: Dataset
) -> None:
    """What the study said of its test images is what the model says of them now, but for T."""
    record = read_record(handed / "results.json", StudyRecord)
    run = record.steps["baseline"].run  # type: ignore[attr-defined]  # a step with a model
    rows, logits = read_tested(handed / run.folder / PREDICTIONS, digits)
    said = soften(logits, predictor.args.temperature)
    found, _ = predictor.classify_rows(digits, rows)
    assert np.abs(found - said).max() < 1e-3  # though it may have been trained in bfloat16
    assert (found.argmax(1) == said.argmax(1)).all()


def test_arrays_pictures_bytes_and_files_are_one(
    predictor: Predictor, photos: Path, digits: Dataset
) -> None:
    path = next(photos.glob("1/*.png"))
    pixels = digits.source.read(np.array([int(path.stem)]))
    given: list[object] = [path, path.read_bytes(), Image.open(path), pixels, pixels[:, :, :, 0]]
    answers = predictor(given)
    assert np.ptp(answers.probabilities, axis=0).max() < 1e-6
    assert len(set(answers.names)) == 5


def test_openvino_and_pytorch_agree(
    handed: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = load_predictor(handed)(photos)
    monkeypatch.setattr(module, "FEW_PIXELS", 0)
    monkeypatch.setattr(engines, "FEW_PIXELS", 0)
    many = load_predictor(handed)(photos)
    assert np.abs(few.probabilities - many.probabilities).max() < 1e-4
    assert few.unlike is not None and many.unlike is not None
    assert few.unlike.tolist() == many.unlike.tolist()


def test_bad_files_are_named_and_passed_over(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    answers = predictor([photos / "0", bad, photos / "1"])
    assert len(answers) == 8
    assert [name for name, _ in answers.failed] == [str(bad)]
    nothing = predictor(bad)
    assert (len(nothing), nothing.labels, nothing.probabilities.shape) == (0, (), (0, 10))


def test_parts_are_as_one(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no")
    items = list_items([photos, str(tmp_path / "bad.png"), photos, photos, photos])
    whole = predictor(items)
    monkeypatch.setattr(module, "CHUNK_BYTES", 0)  # 32 images a part
    done: list[int] = []
    parts = list(predictor.stream(items, lambda count, total: done.append(count)))
    assert [len(part) for part in parts] == [31, 17]
    assert done == [32, 49]
    joined = join_answers(parts)
    assert joined.names == whole.names
    assert np.array_equal(joined.probabilities, whole.probabilities)
    assert joined.failed == whole.failed


def test_few_images_are_in_memory(
    predictor: Predictor, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most two parts are decoded beyond what was answered."""
    monkeypatch.setattr(module, "CHUNK_BYTES", 0)
    decode, lock, count = decode_image, threading.Lock(), 0

    def watch(*given: object) -> object:
        nonlocal count
        with lock:
            count += 1
        return decode(*given)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(module, "decode_image", watch)
    done = 0
    for part in predictor.stream(list_items([photos] * 20)):
        done += len(part)
        assert count <= done + 64


def test_noise_is_unlike_and_colour_is_odd(predictor: Predictor, photos: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 60, 80, 3), np.uint8)
    answers = predictor([noise, photos / "0"])
    assert answers.unlike is not None
    assert answers.unlike.tolist() == [True, False, False, False, False]
    assert answers.odd.tolist() == [True, False, False, False, False]
    assert 0 < predictor.args.false_alarms <= 0.01


def test_a_threshold_is_that_of_the_curve_or_refused(predictor: Predictor) -> None:
    threshold = predictor.choose_threshold(0.2)
    rows = [row for row in predictor.args.surest if row.threshold >= threshold]
    assert rows[-1].wrong / rows[-1].count < 0.2
    with pytest.raises(SettingError, match=r"cannot be promised from .* the least that can be is"):
        predictor.choose_threshold(0.001)
    with pytest.raises(SettingError, match="between 0 and 1"):
        predictor.choose_threshold(1)


def test_what_is_no_image_is_refused(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="must be there"):
        predictor("nowhere.png")
    with pytest.raises(DataError, match="uint8"):
        predictor(np.zeros((2, 8, 8)))
    with pytest.raises(DataError, match="paths, arrays, PIL images"):
        predictor(7)
    with pytest.raises(DataError, match="got none"):
        predictor([])


def test_the_study_says_what_its_model_is(handed: Path) -> None:
    record = read_record(handed / "results.json", StudyRecord)
    step, args = record.steps["model"], read_args(handed / "model")
    assert isinstance(step, HandoverStep)
    assert (step.chosen, step.temperature) == ("baseline", args.temperature)
    assert step.ece_after.value < step.ece_before.value
    assert args.tested == args.surest[-1].count <= step.test_score.n
    for promise in step.promises:
        assert (promise.threshold is None) == (promise.count == 0)
