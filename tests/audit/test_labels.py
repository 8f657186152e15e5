"""Labels that were flipped are found first, and images that belong elsewhere."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tellapart.audit import Looked
from tellapart.audit.labels import SUSPECTS, find_labels, find_outliers, list_suspects
from tellapart.data.dataset import Dataset
from tellapart.data.exclude import exclude_images
from tellapart.data.split import make_split


@pytest.fixture(scope="module")
def flipped(digits: Dataset) -> tuple[Dataset, set[int]]:
    """The digits with 50 labels that are others."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(digits), 50, replace=False)
    labels = digits.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, 10, 50)) % 10
    return replace(digits, labels=labels), set(rows.tolist())


def predict(dataset: Dataset) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    pixels = dataset.source.read(np.arange(len(dataset))).reshape(len(dataset), -1) / 16
    model = LogisticRegression(C=0.001, max_iter=300, tol=0.01)
    found = cross_val_predict(model, pixels, dataset.labels, cv=3, method="predict_proba")
    return np.asarray(found, np.float32)


def test_flipped_labels_come_first(flipped: tuple[Dataset, set[int]], tmp_path: Path) -> None:
    dataset, wrong = flipped
    looked = Looked(dataset, make_split(dataset), tmp_path / "labels")
    rows = np.arange(len(dataset))
    probabilities = predict(dataset)
    finding = find_labels(looked, rows, probabilities)
    assert finding is not None and finding.severity == "mind"
    with (tmp_path / "labels" / SUSPECTS).open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == finding.count
    first = {int(line["file"].removeprefix("row ")) for line in lines[:50]}
    assert len(first & wrong) >= 25, "by chance it were one"
    assert all(line["label"] != line["looks_like"] for line in lines)
    assert lines[0]["split"] in {"train", "val", "test"}
    with Image.open(tmp_path / finding.picture) as image:
        assert image.format == "PNG" and image.width > 600
    assert exclude_images(dataset, tmp_path / "labels" / SUSPECTS).hashes == tuple(
        dataset.hashes[row]
        for row in rows
        if row not in {int(line["file"].removeprefix("row ")) for line in lines}
    )


def test_labels_that_are_right_are_no_suspects() -> None:
    labels = np.arange(300) % 3
    sure = np.full((300, 3), 0.02, np.float32)
    sure[np.arange(300), labels] = 0.96
    assert not len(list_suspects(labels, sure))


def test_a_class_without_images_is_passed_over() -> None:
    labels = np.repeat([0, 3], 100)
    probabilities = np.full((200, 4), 0.01, np.float32)
    probabilities[np.arange(200), labels] = 0.97
    probabilities[5] = 0.01, 0.01, 0.01, 0.97
    assert list_suspects(labels, probabilities).tolist() == [5]


def test_an_image_far_from_all_others_is_shown(digits: Dataset, tmp_path: Path) -> None:
    looked = Looked(digits, make_split(digits), tmp_path / "labels")
    distances = np.random.default_rng(0).uniform(0.2, 0.4, len(digits))
    assert find_outliers(looked, np.arange(len(digits)), distances) is None
    distances[17] = 1.2
    finding = find_outliers(looked, np.arange(len(digits)), distances)
    assert finding is not None and finding.examples == ("row 17",)
    assert (tmp_path / finding.picture).is_file()
