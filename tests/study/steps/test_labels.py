"""Labels: from the transfer's features, or from its own; what is too small is passed over."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tellapart.cli import main
from tellapart.data import Dataset, load_images
from tellapart.data.split import make_split
from tellapart.records import LabelsStep, StudyRecord
from tellapart.study.backbones import list_extracted
from tellapart.study.settings import ComputeSettings, StudySettings, TransferSettings
from tellapart.study.steps import labels as step
from tellapart.study.study import run_study
from tellapart.transfer.features import Features, extract_features
from tests.models.weights import save_weights
from tests.study.contexts import make_context


def ask(tmp_path: Path, *steps: str) -> StudySettings:
    own = TransferSettings(
        backbones=(save_weights(tmp_path / "w"),), heads="logistic", image_size=32
    )
    return StudySettings(steps=steps, transfer=own, compute=ComputeSettings(device="cpu"))


def find(record: StudyRecord) -> LabelsStep:
    found = record.steps["labels"]
    assert isinstance(found, LabelsStep)
    return found


def pick(digits: Dataset, counts: dict[int, int], groups: dict[int, int]) -> Dataset:
    """Return some digits of each class, with given splits, a few of each in one group."""
    rows = [np.flatnonzero(digits.labels == label)[:count] for label, count in counts.items()]
    made = load_images((digits.source.read(np.concatenate(rows)), np.repeat(
        list(counts), [len(one) for one in rows])))  # fmt: skip
    roles = tuple(("train", "train", "val", "test")[row % 4] for row in range(len(made)))
    names = [
        f"g{label}" if place < groups.get(label, 0) else ""
        for label, count in counts.items()
        for place in range(count)
    ]
    return replace(made, roles=roles, names=tuple(names))


def test_the_transfers_features_are_taken(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def extract(*args: Any, **more: Any) -> Features:
        found = extract_features(*args, **more)
        asked.append(found.computed)
        return found

    monkeypatch.setattr(step, "extract_features", extract)
    record = run_study(digits, ask(tmp_path, "transfer", "labels"), tmp_path / "study")
    found = find(record)
    assert asked == [0]
    assert (found.images, found.image_size, found.tested) == (1797, 32, 269)
    assert found.score.n == 1797 - 269 and found.score.value > 0.5
    page = (tmp_path / "study" / "report.html").read_text("utf-8")
    assert "no score on them is computed" in page and "Labels that look wrong" in page


@pytest.mark.slow
def test_no_label_of_test_moves_the_bound(digits: Dataset, tmp_path: Path) -> None:
    test = make_split(digits).test
    labels = digits.labels.copy()
    labels[test] = (labels[test] + 1) % 10
    bounds = [
        find(run_study(dataset, ask(tmp_path, "labels"), tmp_path / str(number))).bound
        for number, dataset in enumerate(
            (digits, replace(digits, labels=labels, roles=give_roles(digits)))
        )
    ]
    assert bounds[0] is not None and bounds[0] == bounds[1]


def give_roles(dataset: Dataset) -> tuple[str, ...]:
    split = make_split(dataset)
    roles = np.full(len(dataset), "train", "U5")
    roles[split.val], roles[split.test] = "val", "test"
    return tuple(roles.tolist())


@pytest.mark.parametrize(
    ("counts", "groups", "left"),
    [
        ({0: 40, 1: 40, 2: 4}, {}, 80),
        ({0: 40, 1: 40, 2: 40}, {2: 37}, 80),
        ({0: 90, 1: 3}, {}, 0),
    ],
)
def test_classes_too_small_for_folds_are_passed_over(
    digits: Dataset, tmp_path: Path, counts: dict[int, int], groups: dict[int, int], left: int
) -> None:
    record = run_study(pick(digits, counts, groups), ask(tmp_path, "labels"), tmp_path / "study")
    found = find(record)
    assert found.images == left
    assert "labels of 2: too few pictures" in found.unchecked or left == 0
    assert ("Nothing could be looked for" in found.answer) == (left == 0)


def test_one_large_group_of_two_classes_is_no_crash(digits: Dataset, tmp_path: Path) -> None:
    """The group may leave a fold with one class to learn from."""
    for seed in range(8):
        settings = ask(tmp_path, "labels").model_copy(update={"seed": seed})
        context = make_context(pick(digits, {0: 100, 1: 100}, {0: 96}), settings, tmp_path)
        rows, folds = step.cut_rows(context, np.arange(200))
        for fold in folds:
            assert set(context.dataset.labels[fold.rows.train].tolist()) == {0, 1}
        assert len(rows) in (0, 200)


def test_inspect_looks_for_labels_and_ends_where_some_look_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    command = ["inspect", "digits", "--fail-on", "labels", "--out", str(out), "--backbone"]
    assert main([*command, save_weights(tmp_path / "w")]) == 2
    assert "labels that look wrong:" in capsys.readouterr().err
    with (out / "labels" / "suspects.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert lines and lines[0]["file"].startswith("row ")
    shares = [float(line["probability_of_label"]) for line in lines]
    assert shares == sorted(shares) and shares[0] < 0.1


def test_a_transfer_of_a_share_leaves_its_rows(digits: Dataset, tmp_path: Path) -> None:
    context = make_context(digits, ask(tmp_path, "labels"), tmp_path / "study")
    assert len(list_extracted(context, 1.0)) == 1797
    some = list_extracted(context, 0.5)
    left_out = np.setdiff1d(np.arange(1797), some)
    assert 600 < len(left_out) < 660
    assert np.isin(left_out, context.seal.split.train).all()


def test_where_choices_are_made_on_test_it_does_not_look_there(
    digits: Dataset, tmp_path: Path
) -> None:
    settings = ask(tmp_path, "labels").model_copy(update={"protocol": "notebook"})
    assert run_study(digits, settings, tmp_path / "study").ledger == ()
