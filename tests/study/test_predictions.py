"""Predictions of any tool, compared; what is not comparable is refused."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from tellapart.data.predictions import Columns
from tellapart.errors import DataError
from tellapart.metrics.comparisons import compute_mcnemar
from tellapart.report.predictions import describe_predictions
from tellapart.study.predictions import compare_predictions

N = 200
PUBLISHED = Path(__file__).parents[3] / "shared/data/cifar10.1-predictions/predictions.csv"
CLASSES = ("cat", "dog")


def draw(accuracy: float, seed: int = 0) -> list[str]:
    """Return what a model says of images of which the even ones are cats."""
    wrong = np.random.default_rng(seed).permutation(N) >= accuracy * N
    return [CLASSES[(number % 2) ^ int(odd)] for number, odd in enumerate(wrong)]


def write(path: Path, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([heads, *lines])
    return path


def list_lines(said: Sequence[str], *more: Sequence[object]) -> list[list[object]]:
    return [
        [f"{number}.png", CLASSES[number % 2], one, *(part[number] for part in more)]
        for number, one in enumerate(said)
    ]


HEADS = ("file", "true", "predicted")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / f"{name}.csv", HEADS, list_lines(draw(accuracy, seed)))
        for seed, (name, accuracy) in enumerate({"a": 0.6, "b": 0.9, "c": 0.88}.items())
    ]


def test_models_are_compared_image_by_image(files: list[Path]) -> None:
    found = compare_predictions(files)
    assert [one.name for one in found.models] == ["a", "b", "c"]
    assert [one.scores["accuracy"].value for one in found.models] == [0.6, 0.9, 0.88]
    truth = [CLASSES[number % 2] for number in range(N)]
    f1 = metrics.f1_score(truth, draw(0.6, 0), average="macro")
    assert found.models[0].scores["macro_f1"].value == pytest.approx(f1)
    assert found.ranking.best == 1
    said = describe_predictions(found)
    assert said.splitlines()[1].startswith("b  90.0 %")
    assert "Not told from the best, b: c." in said
    assert "b is better than a by 30.0 points" in said


def test_columns_have_usual_names_or_those_that_are_given(tmp_path: Path) -> None:
    usual = write(tmp_path / "u.csv", ("Image", "label", "pred"), list_lines(draw(0.9)))
    own = write(tmp_path / "o.csv", ("Image", "label", "says"), list_lines(draw(0.7)))
    with pytest.raises(DataError, match=r"--predicted-column must name a column .*got 'sais'; did"):
        compare_predictions([own], Columns(predicted="sais"))
    found = compare_predictions([usual, own])  # one column of classes is a model, too
    assert [one.name for one in found.models] == ["u", "says"]


def test_a_file_may_have_a_column_a_model(tmp_path: Path) -> None:
    lines = list_lines(draw(0.6), draw(0.9, 1), range(N))
    path = write(tmp_path / "all.csv", ("id", "true", "first", "second", "row"), lines)
    found = compare_predictions([path])
    assert [one.name for one in found.models] == ["first", "second"]


def test_probabilities_give_the_log_loss(tmp_path: Path) -> None:
    cat = np.linspace(0.1, 0.9, N).round(3)
    said = [CLASSES[int(share < 0.5)] for share in cat]
    heads = (*HEADS, "p(cat)", "p(dog)")
    lines = list_lines(said, cat.tolist(), (1 - cat).tolist())
    path = write(tmp_path / "p.csv", heads, lines)
    plain = write(tmp_path / "plain.csv", HEADS, list_lines(draw(0.9)))
    found = compare_predictions([path, plain])
    truth = [number % 2 for number in range(N)]
    expected = metrics.log_loss(truth, np.stack([cat, 1 - cat], 1))
    assert found.models[0].scores["log_loss"].value == pytest.approx(expected)
    assert "log_loss" not in found.models[1].scores
    turned = compare_predictions([plain, path])
    assert turned.models[1].scores == found.models[0].scores, "in whatever order"
    lines[3][3] = 0.9
    write(path, heads, lines)
    with pytest.raises(DataError, match=r"sum to 1, but those of '3\.png' in .* to "):
        compare_predictions([path, plain])


def test_recipes_are_compared_over_their_seeds(tmp_path: Path) -> None:
    paths = []
    for name, accuracy in (("old", 0.7), ("new", 0.9)):
        lines = [
            [*line, seed]
            for seed in range(3)
            for line in list_lines(draw(accuracy + 0.01 * seed, seed + 10))
        ]
        paths.append(write(tmp_path / f"{name}.csv", (*HEADS, "seed"), lines))
    found = compare_predictions(paths)
    assert [one.trainings for one in found.models] == [3, 3]
    assert not found.comparisons
    assert "Over images and trainings new is better than old: +20.0 points" in describe_predictions(
        found
    )


def test_images_of_a_group_count_once(tmp_path: Path) -> None:
    groups = [number // 20 for number in range(N)]
    both = [
        write(tmp_path / f"{name}.csv", (*HEADS, "group"), list_lines(draw(share, 1), groups))
        for name, share in (("a", 0.8), ("b", 0.85))
    ]
    found = compare_predictions(both)
    (pair,) = found.comparisons
    assert found.groups == 10 and pair.effect > 2
    assert pair.low < 0 < pair.high and pair.p_value > 0.05, (
        "200 images alone would tell them apart"
    )
    assert compute_mcnemar(pair.only_first, pair.only_second) < 0.05
    assert "200 images in 10 groups" in describe_predictions(found)


def test_a_training_far_off_is_named_and_in_no_mean(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        lines = []
        for seed in range(4):
            accuracy = 0.1 if (name, seed) == ("one", 2) else 0.9
            lines += [[*line, seed] for line in list_lines(draw(accuracy, seed))]
        paths.append(write(tmp_path / f"{name}.csv", (*HEADS, "seed"), lines))
    found = compare_predictions(paths)
    assert found.left_out == ("one, seed 2",)
    assert [one.scores["accuracy"].value for one in found.models] == pytest.approx([0.9, 0.9])
    assert "Left out, for it is far below the others: one, seed 2." in describe_predictions(found)


def test_groups_are_of_all_files_and_at_least_two(files: list[Path], tmp_path: Path) -> None:
    heads = (*HEADS, "group")
    one = write(tmp_path / "g.csv", heads, list_lines(draw(0.8), [1] * N))
    other = write(tmp_path / "h.csv", heads, list_lines(draw(0.7), [1] * N))
    with pytest.raises(DataError, match="groups must be two at least"):
        compare_predictions([one, other])
    with pytest.raises(DataError, match="groups are of all files or of none"):
        compare_predictions([files[0], one])


def test_a_column_that_is_nearly_all_classes_is_refused(tmp_path: Path) -> None:
    lines = list_lines(draw(0.6), draw(0.9, 1))
    lines[0][3] = "zebra"
    path = write(tmp_path / "all.csv", ("id", "true", "first", "second"), lines)
    with pytest.raises(DataError, match="column second says 'zebra'"):
        compare_predictions([path])


def change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("3.png,dog", "2.png,dog", "must name each image once, but names '2.png' twice"),
        ("3.png,dog", "x.png,dog", "on the same images, but . lacks '(3|x).png'"),
        ("file,true", "file,tru", "must have a column true, but has file, tru, predicted; name it"),
        (",cat\n", ",catt\n", "classes that there are, but says 'catt'.* mean 'cat'"),
        ("1.png,dog,", "1.png,cat,", "an image has one true class, but '1.png' is"),
        ("0.png,cat", "0.png,cat,cat,cat", "as many values in each other line"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    files: list[Path], old: str, new: str, said: str
) -> None:
    change(files[1], old, new)
    with pytest.raises(DataError, match=said):
        compare_predictions(files[:2])


def test_a_model_is_not_compared_with_itself(files: list[Path]) -> None:
    with pytest.raises(DataError, match=r"names of their own, but two are called .*a\.csv"):
        compare_predictions([files[0], files[0]])
    with pytest.raises(DataError, match="at least two models, but got 1"):
        compare_predictions(files[:1])


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("empty.csv", "bytes.csv", "nowhere.csv"):
        with pytest.raises(DataError, match=name):
            compare_predictions([tmp_path / name])


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"{PUBLISHED} is not here")
def test_published_models_come_to_the_published_counts() -> None:
    """Of 435 pairs the exact test with Holm's correction tells 316 apart, this one 320."""
    found = compare_predictions([PUBLISHED])
    assert (found.images, len(found.models)) == (2000, 30)
    assert sum(one.p_value < 0.05 for one in found.comparisons) == 320
    assert len([one for one in found.ranking.candidates if one.possible]) == 5
    assert "Of 435 pairs 320 can be told apart" in describe_predictions(found)
